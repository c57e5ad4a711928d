"""One request: a picture, two models, everything the page shows of them, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Hashable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from app import text
from app.background import Progress, watched
from app.compare.result import Answer, Comparison, Facts, Side, Stage
from app.compare.wanted import NOTHING, Wanted
from app.language import tr
from app.loading import loading
from app.prepared import Prepared
from app.store import LoadedModel, ModelStore, weights_card
from mambaout import explain
from mambaout.catalogue.mixing import Mixing
from mambaout.errors import MambaOutError, said_by
from mambaout.evaluation.comparison_report import PictureFacts
from mambaout.evaluation.novelty import novelty_hint
from mambaout.evaluation.said import Said
from mambaout.explain.cam_methods import METHODS

if TYPE_CHECKING:
    import torch


def compare(
    store: ModelStore,
    picture: Image.Image,
    names: tuple[str, str],
    mixing: Mixing,
    method: str = "gradcam",
    wanted: Wanted = NOTHING,
) -> Iterator[Stage]:
    """Ask both models, then explain both, yielding after every step.

    A model that cannot be had leaves its reason in its side; the other one goes on.
    """
    titles = [store.card(name).title for name in names]
    digest = PictureFacts.of(picture)
    result = Comparison(names, mixing, method, digest, (Side(titles[0]), Side(titles[1])))
    models: list[LoadedModel | None] = [None, None]
    prepared = Prepared(picture)
    for index, name in enumerate(names):
        try:
            for model, status in loading(store, name, titles[index]):
                yield result, status
                if model is not None:
                    models[index] = model
                    side = store.results.get(
                        ("answer", name, digest, mixing),
                        partial(_answered, model, prepared, mixing, titles[index]),
                    )
                    result = result.with_side(index, side)
        except MambaOutError as error:
            result = result.with_side(index, replace(result.sides[index], error=said_by(error)))
        yield result, tr(text.WORKING)
    result = wanted.of(result)
    classes = _of_key(result, result.chosen_key)
    for index, model in enumerate(models):
        if model is not None:
            for side, status in _heat(store, result, index, model, classes[index]):
                result = result.with_side(index, side)
                yield result, status
    yield result, tr(text.TRACING)
    for index, model in enumerate(models):
        if model is not None:
            result = result.with_side(index, _with_trace(store, result, index, model))
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
        raise MambaOutError(tr("There is no class called {label} to explain.", label=label))
    key = facts.vocabulary.keys[index]
    result = replace(comparison, chosen_key=key, chosen_label=label)
    yield from _explained(store, result, _of_key(result, key))


def _of_key(result: Comparison, key: str | None) -> list[int | None]:
    """Where each model has the class with this key, None where it does not know it."""
    return [
        side.facts.vocabulary.positions.get(key) if side.facts and key is not None else None
        for side in result.sides
    ]


def explain_again(store: ModelStore, comparison: Comparison, method: str) -> Iterator[Stage]:
    """Draw both heat maps by another method, for the classes they are for."""
    classes = [side.explained for side in comparison.sides]
    yield from _explained(store, replace(comparison, method=method), classes)


def explain_against(
    store: ModelStore, comparison: Comparison, rival_key: str | None
) -> Iterator[Stage]:
    """Draw both heat maps again, for why their class rather than another, by its key.

    A side whose model does not know the other class, or explains that very one, takes its own
    likeliest other class; so do both where `rival_key` is None.
    """
    classes = [side.explained for side in comparison.sides]
    yield from _explained(store, replace(comparison, rival_key=rival_key), classes)


def explain_layer(
    store: ModelStore, comparison: Comparison, chosen: int, number: int
) -> Iterator[Stage]:
    """Draw the heat map of one side from another layer, counted from 1."""
    side = comparison.sides[chosen]
    if side.facts is None:
        raise MambaOutError(
            tr("{model} gave no answer whose layers could be looked into.", model=side.title)
        )
    layers = side.facts.layers
    side = replace(side, layer=layers[min(max(number, 1), len(layers)) - 1])
    result = comparison.with_side(chosen, side)
    yield from _explained(store, result, [side.explained for side in result.sides])


def _explained(store: ModelStore, result: Comparison, classes: list[int | None]) -> Iterator[Stage]:
    for index, side in enumerate(result.sides):
        if side.answer is None:
            continue
        for model, status in loading(store, result.names[index], side.title):
            if model is None:
                yield result, status
            else:
                for explained, step in _heat(store, result, index, model, classes[index]):
                    result = result.with_side(index, explained)
                    yield result, step
    yield result, ""


def _answered(model: LoadedModel, prepared: Prepared, mixing: Mixing, title: str) -> Side:
    """The model's answer; where mixing is switched, also the one it gives otherwise."""
    image = prepared.input_of(model)
    bidirectional, no_causal_form = None, None
    view = model.view("bidirectional")
    if mixing == "causal":
        try:
            switched = model.view("causal")
        except TypeError as reason:
            no_causal_form = said_by(reason)
        else:
            bidirectional = model.says(view, image).probabilities
            view = switched
    said, seconds = timed(model, view, image)
    return Side(
        title=title,
        facts=Facts.of(model),
        seen=prepared.seen_by(model),
        image=image.numpy(force=True),
        answer=Answer(
            said.vocabulary,
            said.probabilities,
            bidirectional,
            no_causal_form,
            seconds,
            novelty_hint(
                said.probabilities,
                weights_card(model.name),
                "bidirectional" if no_causal_form else mixing,
            ),
        ),
    )


def timed(model: LoadedModel, view: torch.nn.Module, image: torch.Tensor) -> tuple[Said, float]:
    """What a view of the model says, and the seconds of the forward pass."""
    start = time.perf_counter()
    said = model.says(view, image)
    return said, time.perf_counter() - start


def mixed(model: LoadedModel, side: Side, mixing: Mixing) -> torch.nn.Module:
    """The view that gave the side's answer."""
    kept = side.answer is not None and side.answer.no_causal_form is not None
    return model.view("bidirectional" if kept else mixing)


def _heat(
    store: ModelStore,
    result: Comparison,
    index: int,
    model: LoadedModel,
    class_index: int | None,
) -> Iterator[tuple[Side, str]]:
    """The side with its heat map for a class, of its own first answer if that is None.

    The side as it is comes first, with what is being done; the side with its map last.
    """
    side = result.sides[index]
    if side.answer is None or side.facts is None:
        return
    yield side, text.explaining(side.title)
    chosen = side.answer.top if class_index is None else class_index
    rival = None
    if METHODS[result.method].contrast and result.rival_key is not None:
        rival = side.facts.vocabulary.positions.get(result.rival_key)
        rival = None if rival == chosen else rival
    key = (*asked(result, index), "heat", result.method, side.layer, chosen, rival)

    def look(progress: Progress) -> explain.Explanation | str:
        view = mixed(model, side, result.mixing)
        image = input_of(side, model)
        try:
            return explain.grad_cam(
                view, image, chosen, side.layer, result.method, versus=rival, progress=progress
            )
        except MambaOutError as reason:
            return said_by(reason)

    for heat, status in watched(
        lambda progress: store.results.get(key, lambda: look(progress)),
        lambda arrived: text.explaining(side.title, arrived),
    ):
        if heat is None:
            yield side, status
            continue
        explained = replace(side, explained=chosen, trust=None, no_trust="")
        if isinstance(heat, str):
            yield replace(explained, heat=None, no_heat=heat), tr(text.WORKING)
        else:
            yield replace(explained, heat=heat, no_heat=""), tr(text.WORKING)


def _with_trace(store: ModelStore, result: Comparison, index: int, model: LoadedModel) -> Side:
    """The side with what its scan held, or the reason why there is none."""
    side = result.sides[index]
    if side.answer is None:
        return side
    view = mixed(model, side, result.mixing)

    def follow() -> explain.ScanTrace | str:
        try:
            return explain.scan_trace(view, input_of(side, model))
        except MambaOutError as reason:
            return said_by(reason)

    trace = store.results.get((*asked(result, index), "trace"), follow)
    if isinstance(trace, str):
        return replace(side, no_trace=trace, window=_window(view))
    return replace(side, trace=trace)


def asked(result: Comparison, index: int) -> tuple[Hashable, ...]:
    """What decides everything that one side's model says."""
    return result.names[index], result.picture, result.mixing


def _window(model: torch.nn.Module) -> np.ndarray | None:
    """Where a Gated CNN lets a token look, (h, w) around it; None for other token mixers."""
    from timm.models.mambaout import GatedConvBlock

    from mambaout.models.mixing_conv import MixingConv2d
    from mambaout.ops import raster_causal_mask

    block = next((m for m in model.modules() if isinstance(m, GatedConvBlock)), None)
    if block is None:
        return None
    height, width = block.conv.kernel_size
    if isinstance(block.conv, MixingConv2d) and block.conv.mixing == "causal":
        return raster_causal_mask(height, width).numpy()
    return np.ones((height, width), dtype=bool)


def input_of(side: Side, model: LoadedModel) -> torch.Tensor:
    import torch

    if side.image is None:
        raise ValueError("a side without an answer was given nothing")
    return torch.from_numpy(side.image).to(model.device)
