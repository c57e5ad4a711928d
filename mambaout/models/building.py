"""Build a registered model; when weights are asked for, find them first.

Our families' entry points call `build_model` where timm's families call
`timm.models._builder.build_model_with_cfg`. timm still does all the work on the model (class count,
input channels, `features_only`); this file only decides which local file it reads, because the
authors' files are not ones timm can load (see `mambaout.models.weights`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from timm.models._builder import build_model_with_cfg, resolve_pretrained_cfg
from torch import nn

from mambaout.catalogue.bundled import CAUSAL, trained_mixing
from mambaout.catalogue.mixing import Mixing
from mambaout.models.weights import weights_file

MINIATURE_TAGS = ("tiny_imagenet", f"tiny_imagenet{CAUSAL}")
"""Of the bundled miniatures' weights: trained with either mixing."""

ModelT = TypeVar("ModelT", bound=nn.Module)

# Sources that timm resolves itself: `hf-hub:` and `local-dir:` model names.
_RESOLVED_BY_TIMM = ("hf-hub", "local-dir")


def declared_mixing(variant: str, kwargs: Mapping[str, Any]) -> Mixing:
    """The mixing that the weights chosen by an entry point's ``kwargs`` were trained in.

    A model that is asked for by the tag of weights trained causally is causal from the start, with
    its weights or without.
    """
    overlay = dict(kwargs.get("pretrained_cfg_overlay") or {})
    tag = resolve_pretrained_cfg(variant, kwargs.get("pretrained_cfg"), overlay).tag
    return trained_mixing(f"{variant}.{tag}")


def build_model(
    model_cls: Callable[..., ModelT], variant: str, pretrained: bool, **kwargs: Any
) -> ModelT:
    """Build `variant` with `model_cls`, with its pretrained weights if asked for.

    Args:
        model_cls: the network's class.
        variant: the architecture's name in timm's registry, without a tag.
        pretrained: load the weights that the tag declares; downloads them at the first use.
        **kwargs: as `build_model_with_cfg` takes them (`pretrained_cfg`, `pretrained_cfg_overlay`,
            `pretrained_filter_fn`, `feature_cfg`, `cache_dir`, ...); the rest goes to `model_cls`.

    Raises:
        WeightsUnavailable: no weights are declared for the tag, or they cannot be fetched.
        CheckpointError: the weights' file is damaged or belongs to another model.
    """
    if pretrained:
        overlay = dict(kwargs.get("pretrained_cfg_overlay") or {})
        cfg = resolve_pretrained_cfg(variant, kwargs.get("pretrained_cfg"), overlay)
        if cfg.state_dict is None and cfg.source not in _RESOLVED_BY_TIMM:
            path = weights_file(cfg, cache_dir=kwargs.get("cache_dir"))
            kwargs["pretrained_cfg_overlay"] = {**overlay, "file": str(path)}
    return build_model_with_cfg(model_cls, variant, pretrained, **kwargs)
