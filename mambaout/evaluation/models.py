"""The models that are evaluated: with their weights, on a device, in each mixing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from PIL import Image

from mambaout.catalogue.download import Progress
from mambaout.catalogue.hashing import file_sha256
from mambaout.catalogue.mixing import Mixing
from mambaout.evaluation.matching import ModelClasses

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


class View(NamedTuple):
    """A model in one mixing."""

    model: str
    mixing: Mixing

    def __str__(self) -> str:
        return f"{self.model} {self.mixing}"


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A frozen model and how pictures are made ready for it.

    Attributes:
        views: the model in each mixing that it has.
        no_form: why it has no others.
        data_config: what timm says of its pictures: size, crop, interpolation, mean, std.
        sha256: of the file its weights are from.
    """

    name: str
    classes: ModelClasses
    views: dict[Mixing, nn.Module]
    no_form: dict[Mixing, str]
    data_config: dict[str, Any]
    transform: Callable[[Image.Image], Tensor]
    sha256: str

    @property
    def preprocessing(self) -> str:
        """The data configuration, equal for models that are given equal pictures."""
        return ", ".join(f"{key} {value}" for key, value in sorted(self.data_config.items()))


def load_model(
    name: str, mixings: Iterable[Mixing], device: torch.device, progress: Progress | None = None
) -> LoadedModel:
    """The registered model ``name`` with its weights, downloaded if need be.

    Args:
        name: as for `timm.create_model`.
        mixings: those to evaluate it in.
        device: where it runs.
        progress: of a download, as for `fetch_weights`.

    Raises:
        WeightsUnavailable: there is no such model, or its weights cannot be had.
        CheckpointError: its weights are damaged.
    """
    import timm
    from timm.data import create_transform, resolve_data_config

    from mambaout.models import class_labels, fetch_weights, with_mixing
    from mambaout.models.vocabulary import vocabulary_of

    path = fetch_weights(name, progress)
    model: nn.Module = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay={"file": str(path)}
    )
    model = model.eval().requires_grad_(False).to(device)
    views: dict[Mixing, nn.Module] = {}
    no_form: dict[Mixing, str] = {}
    for mixing in mixings:
        try:
            views[mixing] = with_mixing(model, mixing)
        except TypeError as reason:
            # Without a causal form there is nothing to switch back from: it is what was built.
            if mixing == "bidirectional":
                views[mixing] = model
            else:
                no_form[mixing] = str(reason)
    data_config = resolve_data_config(model=model)
    return LoadedModel(
        name=name,
        classes=ModelClasses(name, vocabulary_of(name), tuple(class_labels(name))),
        views=views,
        no_form=no_form,
        data_config=data_config,
        transform=create_transform(**data_config, is_training=False),
        sha256=file_sha256(path),
    )


def views_of(models: Sequence[LoadedModel]) -> list[View]:
    """All models in all their mixings, in the order they were asked for."""
    return [View(model.name, mixing) for model in models for mixing in model.views]
