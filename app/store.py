"""The loaded models: the only owner of them, and the only place that decides where they run.

A model is loaded once, frozen, and shared by all requests. Nobody changes it: a request that wants
another mixing gets a view on the same weights, and explainers hook views of their own.
"""

from __future__ import annotations

import gc
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any, Literal

from PIL import Image

from app.batches import Batches
from app.precision import FULL, Precision, PrecisionPolicy, choose_precision
from app.results import Results
from mambaout import explain
from mambaout.catalogue.bundled import bundled_card, trained_mixing
from mambaout.catalogue.cards import ModelCard, offered, offered_card
from mambaout.catalogue.download import Progress
from mambaout.catalogue.facts import declared_models
from mambaout.catalogue.mixing import Mixing
from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.errors import MambaOutError, Sentence, WeightsUnavailable
from mambaout.evaluation.comparison import probabilities
from mambaout.evaluation.said import Said
from mambaout.pictures.framing import Framing

if TYPE_CHECKING:
    import torch
    from torch import nn

    from mambaout.evaluation import Cost

DevicePolicy = Literal["auto", "cpu", "cuda", "mps"]
DEFAULT_PAIR = ("mambaout_atto.tiny_imagenet", "vim_atto.tiny_imagenet")

# Half of what a small hosted machine has (16 GiB), less what torch and a decoded picture take.
_CAPACITY_BYTES = 6 * 2**30
_MOST_TOGETHER = 8  # pictures in a forward pass, and requests at once, where a GPU answers them
_RESULT_BYTES = 256 * 2**20  # about a hundred pictures, asked about in every way

# Where the request that is being answered has been moved to, if it has.
_moved: ContextVar[str | None] = ContextVar("device", default=None)


@contextmanager
def running_on(device: str) -> Iterator[None]:
    """Whatever a store is asked for inside, in this thread or task, runs on this device."""
    token = _moved.set(device)
    try:
        yield
    finally:
        _moved.reset(token)


def moved_to() -> str | None:
    """The device of `running_on`, None outside of it."""
    return _moved.get()


def weights_card(name: str) -> dict[str, Any] | None:
    """What is known of the bundled weights of a registered name; None where there are none."""
    declared = declared_models().get(name)
    return bundled_card(declared.file) if declared is not None and declared.file else None


@dataclass(frozen=True)
class Measured:
    """How often a model is right in either mixing, on the same validation pictures."""

    pictures: int
    bidirectional: float  # share whose class was the first answer
    causal: float

    @classmethod
    def of(cls, name: str) -> Measured | None:
        """From the card of bundled weights; None where nothing was measured."""
        card = weights_card(name)
        if card is None or "other_mixing" not in card:
            return None
        other = card["other_mixing"]
        right = {card["mixing"]: card["val_top1"], other["mixing"]: other["val_top1"]}
        return cls(int(card["val_count"]), **{m: float(share) for m, share in right.items()})


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A frozen model and what has to be known to ask it something."""

    card: ModelCard
    model: nn.Module
    vocabulary: Vocabulary
    framing: Framing
    transform: Callable[[Image.Image], torch.Tensor]
    cost: Cost
    tensors: int  # in its state dict: loading is strict, so all of them were in the file
    measured: Measured | None
    device: str
    precision: Precision = FULL
    batches: Batches | None = None  # where pictures that wait are passed together
    _views: dict[str, nn.Module] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def name(self) -> str:
        """For `timm.create_model`."""
        return self.card.name

    @property
    def bytes(self) -> int:
        """Memory of the weights; views share it."""
        return sum(t.numel() * t.element_size() for t in self.model.state_dict().values())

    def view(self, mixing: Mixing) -> nn.Module:
        """The model in this mixing, on the same weights; the same object every time.

        Raises:
            TypeError: the model has no faithful causal form; the text says why.
        """
        if mixing == trained_mixing(self.card.name):
            return self.model
        from mambaout.models import with_mixing

        with self._lock:
            if mixing not in self._views:
                view = with_mixing(self.model, mixing)
                explain.keep_views(view)
                self._views[mixing] = view
            return self._views[mixing]

    def views(self) -> list[nn.Module]:
        """The model in every mixing that it has."""
        found = [self.view("bidirectional")]
        with suppress(TypeError):
            found.append(self.view("causal"))
        return found

    def says(self, view: nn.Module, image: torch.Tensor) -> Said:
        """What one of the views says of one picture, (1, 3, side, side).

        Where pictures are passed together, with those that others ask it about meanwhile.
        """
        forward = partial(probabilities, view, precision=self.precision.dtype)
        if self.batches is None:
            [row] = forward(image)
        else:
            row = self.batches.answer(view, forward, image)
        return Said(self.vocabulary, row)

    def input_of(self, picture: Image.Image) -> torch.Tensor:
        """The picture as this model takes it: (1, 3, side, side), normalised, on its device."""
        return self.transform(picture).unsqueeze(0).to(self.device)


def pretrained(name: str, progress: Progress | None) -> nn.Module:
    """The registered model with its weights, downloaded first if they are not on this machine."""
    import timm

    from mambaout.models import fetch_weights

    path = fetch_weights(name, progress)
    model: nn.Module = timm.create_model(
        name, pretrained=True, pretrained_cfg_overlay={"file": str(path)}
    )
    return model


@cache
def _transform(data_config: tuple[tuple[str, Any], ...]) -> Callable[[Image.Image], torch.Tensor]:
    """timm's own; the same object for models that take a picture in the same way."""
    from timm.data import create_transform

    transform: Callable[[Image.Image], torch.Tensor] = create_transform(
        **dict(data_config), is_training=False
    )
    return transform


class ModelStore:
    """Loads models when they are first asked for and keeps the ones used last.

    Args:
        device: where models run; "auto" takes CUDA, then Apple's MPS, then the CPU.
        precision: of their answers, see `app.precision`; whatever explains them is float32.
        together: devices on which requests are answered at once, and waiting pictures together.
        offline: never download weights.
        capacity: bytes of weights to keep; the one asked for last is kept in any case.
        build: makes a registered model with its weights, reporting a download's progress.
    """

    def __init__(
        self,
        device: DevicePolicy = "auto",
        *,
        precision: PrecisionPolicy = "auto",
        together: Collection[str] = ("cuda", "mps"),
        offline: bool = False,
        capacity: int = _CAPACITY_BYTES,
        build: Callable[[str, Progress | None], nn.Module] = pretrained,
    ) -> None:
        self.default_pair = DEFAULT_PAIR
        self.results = Results(_RESULT_BYTES)
        self.offline = offline
        self._policy: DevicePolicy = device
        self._precision: PrecisionPolicy = precision
        self._together = together
        self._batches = Batches(_MOST_TOGETHER)
        self._capacity = capacity
        self._build = build
        self._loaded: OrderedDict[tuple[str, str], LoadedModel] = OrderedDict()  # name, device
        self._loading: dict[tuple[str, str], threading.Lock] = {}
        self._guard = threading.Lock()

    @cached_property
    def device(self) -> str:
        """Where models run.

        Raises:
            MambaOutError: the device that was asked for is not on this machine.
        """
        import torch

        present = {
            "cuda": torch.cuda.is_available(),
            "mps": torch.backends.mps.is_available(),
            "cpu": True,
        }
        if self._policy == "auto":
            return next(name for name, here in present.items() if here)
        if not present[self._policy]:
            here = ", ".join(name for name in present if present[name])
            raise MambaOutError(
                Sentence(
                    "This machine has no {device} device that torch can use (it has: {here}).",
                    device=self._policy,
                    here=here,
                )
            )
        return self._policy

    def _device_now(self) -> str:
        return moved_to() or self.device

    @property
    def at_once(self) -> int:
        """How many requests are to be answered at the same time."""
        return _MOST_TOGETHER if self.device in self._together else 1

    def free(self) -> None:
        """Forget every model, and give memory back to the device; running requests keep theirs."""
        import torch

        with self._guard:
            self._loaded.clear()
        gc.collect()
        if self._device_now() == "cuda":
            torch.cuda.empty_cache()
        elif self._device_now() == "mps":
            torch.mps.empty_cache()

    def cards(self) -> list[ModelCard]:
        """Every model on offer, with where its weights are. Asks no network."""
        return [self._as_offline(card) if self.offline else card for card in offered()]

    def card(self, name: str) -> ModelCard:
        """The card of one model.

        Raises:
            MambaOutError: no model on offer has this name.
        """
        card = offered_card(name)
        if card is None:
            raise MambaOutError(
                Sentence("No model on offer is called {name}: choose one from the list.", name=name)
            )
        return self._as_offline(card) if self.offline else card

    def holds(self, name: str) -> bool:
        """Whether this model is in memory."""
        return (name, self._device_now()) in self._loaded

    def get(self, name: str, progress: Progress | None = None) -> LoadedModel:
        """The model, loaded unless it is in memory; callers that ask meanwhile wait for it.

        Raises:
            WeightsUnavailable: its weights are not on this machine and cannot be downloaded.
            MambaOutError: anything else that can be told to a user.
        """
        place = name, self._device_now()
        with self._guard:
            lock = self._loading.setdefault(place, threading.Lock())
        with lock:
            with self._guard:
                if place in self._loaded:
                    self._loaded.move_to_end(place)
                    return self._loaded[place]
            loaded = self._load(name, progress)
            with self._guard:
                self._loaded[place] = loaded
                self._evict()
            return loaded

    def _load(self, name: str, progress: Progress | None) -> LoadedModel:
        card = self.card(name)
        if card.weights.state == "unavailable":
            raise WeightsUnavailable(card.weights.reason)
        from timm.data import resolve_data_config

        from mambaout.evaluation import cost
        from mambaout.models.vocabulary import vocabulary_of

        device = self._device_now()
        model = self._build(name, progress).eval().requires_grad_(False)
        data_config = resolve_data_config(model=model)
        framing = Framing.of(data_config)
        counted = cost(model, (3, framing.side, framing.side))
        model = model.to(device)
        explain.keep_views(model)
        loaded = LoadedModel(
            card=card,
            model=model,
            vocabulary=vocabulary_of(name),
            framing=framing,
            transform=_transform(tuple(sorted(data_config.items()))),
            cost=counted,
            tensors=len(model.state_dict()),
            measured=Measured.of(name),
            device=device,
            batches=self._batches if device in self._together else None,
        )
        return replace(loaded, precision=choose_precision(self._precision, loaded))

    def _evict(self) -> None:
        """Forget those used longest ago until the rest fits; a running request keeps its own."""
        while (
            len(self._loaded) > 1 and sum(m.bytes for m in self._loaded.values()) > self._capacity
        ):
            self._loaded.popitem(last=False)

    @staticmethod
    def _as_offline(card: ModelCard) -> ModelCard:
        if card.weights.state != "available":
            return card
        weights = replace(
            card.weights,
            state="unavailable",
            reason=Sentence("Not downloaded yet, and offline mode is on."),
        )
        return replace(card, weights=weights)
