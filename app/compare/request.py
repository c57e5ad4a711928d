"""One request: a picture, two models, everything the page shows of them, stage by stage.

What comes out are arrays and facts, no tensors and no modules: a result outlives the models that
made it, and can be drawn again in another way without them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from timm.models.mambaout import GatedConvBlock

from app import text
from app.loading import loading
from app.store import LoadedModel, Measured, ModelStore
from mambaout.errors import MambaOutError
from mambaout.evaluation.comparison import Said
from mambaout.explain import Explanation, ScanTrace, grad_cam, scan_trace
from mambaout.models import Mixing
from mambaout.models.catalogue import ModelCard
from mambaout.models.mixing_conv import MixingConv2d
from mambaout.models.vocabulary import Vocabulary
from mambaout.ops import raster_causal_mask

DISPLAY_SIDE = 448  # of the pictures on the page [px]; a multiple of the grids' 7, 8, 14, 16 and 56


@dataclass(frozen=True, eq=False)
class Facts:
    """What holds for a model whatever the picture."""

    card: ModelCard
    vocabulary: Vocabulary
    macs: int
    macs_how: str
    tensors: int
    measured: Measured | None
    device: str
    side: int  # of the square it is given [px]


@dataclass(frozen=True, eq=False)
class Answer(Said):
    """What one model says about the picture."""

    bidirectional: np.ndarray | None  # of the same weights, where mixing was switched; else None
    no_causal_form: str | None  # why mixing was not switched though asked for
    seconds: float  # one forward pass


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two models, as far as it is known. An empty reason means: not known yet."""

    title: str
    error: str = ""  # why there is no answer
    facts: Facts | None = None
    seen: Image.Image | None = None  # the part of the picture that the model sees
    image: np.ndarray | None = None  # (1, 3, side, side): exactly what the model was given
    answer: Answer | None = None
    explained: int | None = None  # class index of the heat map
    heat: Explanation | None = None
    no_heat: str = ""
    trace: ScanTrace | None = None
    no_trace: str = ""
    window: np.ndarray | None = None  # (h, w) bool: the taps in use of a convolution that mixes


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both sides of one request."""

    names: tuple[str, str]
    mixing: Mixing
    method: str  # of the heat maps
    sides: tuple[Side, Side]
    chosen_key: str | None = None  # the class that was asked to be explained, by its key ...
    chosen_label: str = ""  # ... and as the row says that was selected

    def with_side(self, index: int, side: Side) -> Comparison:
        """The same with one side replaced."""
        sides = (side, self.sides[1]) if index == 0 else (self.sides[0], side)
        return replace(self, sides=sides)

    @property
    def answered(self) -> bool:
        """Whether both models have answered."""
        return all(side.answer is not None for side in self.sides)


Stage = tuple[Comparison, str]  # what is known by now, and what is being done; "" at the end


def compare(
    store: ModelStore,
    picture: Image.Image,
    names: tuple[str, str],
    mixing: Mixing,
    method: str = "gradcam",
) -> Iterator[Stage]:
    """Ask both models, then explain both, yielding after every step.

    A model that cannot be had leaves its reason in its side; the other one goes on.
    """
    titles = [store.card(name).title for name in names]
    result = Comparison(names, mixing, method, (Side(titles[0]), Side(titles[1])))
    models: list[LoadedModel | None] = [None, None]
    for index, name in enumerate(names):
        try:
            for model, status in loading(store, name, titles[index]):
                yield result, status
                if model is not None:
                    models[index] = model
                    side = _answered(model, picture, mixing, titles[index])
                    result = result.with_side(index, side)
        except MambaOutError as error:
            result = result.with_side(index, replace(result.sides[index], error=str(error)))
        yield result, text.WORKING
    for index, model in enumerate(models):
        if model is not None:
            yield result, text.explaining(titles[index])
            result = result.with_side(index, _with_heat(result, index, model, None))
    yield result, text.TRACING
    for index, model in enumerate(models):
        if model is not None:
            result = result.with_side(index, _with_trace(result.sides[index], model, mixing))
    yield result, ""


def explain_class(
    store: ModelStore, comparison: Comparison, chosen: int, label: str
) -> Iterator[Stage]:
    """Draw both heat maps for the class that side `chosen` shows as `label`.

    A side whose model does not know the class keeps the map of its own first answer.
    """
    facts = comparison.sides[chosen].facts
    index = facts.vocabulary.index_of_label(label) if facts else None
    if facts is None or index is None:
        raise MambaOutError(f"There is no class called {label} to explain.")
    key = facts.vocabulary.keys[index]
    result = replace(comparison, chosen_key=key, chosen_label=label)
    classes = [s.facts.vocabulary.positions.get(key) if s.facts else None for s in result.sides]
    yield from _explained(store, result, classes)


def explain_again(store: ModelStore, comparison: Comparison, method: str) -> Iterator[Stage]:
    """Draw both heat maps by another method, for the classes they are for."""
    classes = [side.explained for side in comparison.sides]
    yield from _explained(store, replace(comparison, method=method), classes)


def _explained(store: ModelStore, result: Comparison, classes: list[int | None]) -> Iterator[Stage]:
    for index, side in enumerate(result.sides):
        if side.answer is None:
            continue
        for model, status in loading(store, result.names[index], side.title):
            if model is None:
                yield result, status
            else:
                yield result, text.explaining(side.title)
                result = result.with_side(index, _with_heat(result, index, model, classes[index]))
    yield result, ""


def _answered(model: LoadedModel, picture: Image.Image, mixing: Mixing, title: str) -> Side:
    """The model's answer; where mixing is switched, also the one it gives otherwise."""
    image = model.input_of(picture)
    bidirectional, no_causal_form = None, None
    view = model.view("bidirectional")
    if mixing == "causal":
        try:
            switched = model.view("causal")
        except TypeError as reason:
            no_causal_form = str(reason)
        else:
            bidirectional, _ = _probabilities(view, image)
            view = switched
    probabilities, seconds = _probabilities(view, image)
    return Side(
        title=title,
        facts=Facts(
            card=model.card,
            vocabulary=model.vocabulary,
            macs=model.cost.macs,
            macs_how=model.cost.how,
            tensors=model.tensors,
            measured=model.measured,
            device=model.device,
            side=model.framing.side,
        ),
        seen=model.framing.seen(picture, DISPLAY_SIDE),
        image=image.numpy(force=True),
        answer=Answer(model.vocabulary, probabilities, bidirectional, no_causal_form, seconds),
    )


def _probabilities(model: torch.nn.Module, image: torch.Tensor) -> tuple[np.ndarray, float]:
    """Softmax of the logits, (classes,), and the seconds of the forward pass."""
    with torch.inference_mode():
        start = time.perf_counter()
        logits = model(image)[0].float().cpu()  # .cpu() waits for the device
        seconds = time.perf_counter() - start
        return logits.softmax(0).numpy(), seconds


def _mixed(model: LoadedModel, side: Side, mixing: Mixing) -> torch.nn.Module:
    """The view that gave the side's answer."""
    kept = side.answer is not None and side.answer.no_causal_form is not None
    return model.view("bidirectional" if kept else mixing)


def _with_heat(result: Comparison, index: int, model: LoadedModel, class_index: int | None) -> Side:
    """The side with its heat map for a class, of its own first answer if that is None."""
    side = result.sides[index]
    if side.answer is None:
        return side
    class_index = side.answer.top if class_index is None else class_index
    view = _mixed(model, side, result.mixing)
    try:
        heat = grad_cam(view, _tensor(side, model), class_index, method=result.method)
    except MambaOutError as error:
        return replace(side, explained=class_index, heat=None, no_heat=str(error))
    return replace(side, explained=class_index, heat=heat, no_heat="")


def _with_trace(side: Side, model: LoadedModel, mixing: Mixing) -> Side:
    """The side with what its scan held, or the reason why there is none."""
    view = _mixed(model, side, mixing)
    try:
        trace = scan_trace(view, _tensor(side, model))
    except MambaOutError as error:
        return replace(side, no_trace=str(error), window=_window(view))
    return replace(side, trace=trace)


def _window(model: torch.nn.Module) -> np.ndarray | None:
    """Where a Gated CNN lets a token look, (h, w) around it; None for other token mixers."""
    block = next((m for m in model.modules() if isinstance(m, GatedConvBlock)), None)
    if block is None:
        return None
    height, width = block.conv.kernel_size
    if isinstance(block.conv, MixingConv2d) and block.conv.mixing == "causal":
        return raster_causal_mask(height, width).numpy()
    return np.ones((height, width), dtype=bool)


def _tensor(side: Side, model: LoadedModel) -> torch.Tensor:
    if side.image is None:
        raise ValueError("a side without an answer was given nothing")
    return torch.from_numpy(side.image).to(model.device)
