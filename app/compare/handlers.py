"""What the page shows, computed from what the visitor chose: plain functions, no components.

Each returns or yields values by the name of the place they belong to (`PLACES`); `app.ui` puts them
there. A generator's last value holds every place, so that whoever sees only that one sees all.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from app import change_markup, map_markup, markup, text
from app.compare.request import (
    compare,
    explain_again,
    explain_against,
    explain_class,
    explain_layer,
)
from app.compare.result import Comparison, Side, Stage
from app.compare.trust import check_maps
from app.compare.trust_markup import agreement_note, trust
from app.compare.wanted import NOTHING, Wanted
from app.language import told, tr
from app.places import Control, Picture, Values
from app.store import ModelStore
from mambaout import explain
from mambaout.catalogue.mixing import Mixing
from mambaout.explain.cam_methods import METHODS
from mambaout.pictures.overlay import MAP_OPACITY, Scale, overlay, per_area

PLACES = (
    "status", "result", "verdict", "caution",
    "left_head", "right_head", "left_answer", "right_answer",
    "left_change", "right_change", "left_facts", "right_facts",
    "heat_heading", "left_heat", "right_heat", "left_heat_caption", "right_heat_caption",
    "heat_legend", "class_key", "rival", "left_depth", "right_depth",
    "left_depth_key", "right_depth_key", "swipe", "divider", "swipe_caption",
    "test", "trust",
    "layer", "path", "left_scan", "right_scan", "left_scan_caption", "right_scan_caption",
    "scan_heading",
)  # fmt: skip


@dataclass(frozen=True)
class View:
    """How the visitor wants the maps drawn; none of it needs the models."""

    shared_scale: bool = True
    layer: int = 1  # counted from 1
    path: str = "forward"
    quantity: str = "delta"
    opacity: float = MAP_OPACITY  # of the heat maps, 0 to 1
    swipe: bool = False  # both heat maps in one frame, with a divider between them


def ask_both(
    store: ModelStore,
    picture: Image.Image | None,
    names: tuple[str, str],
    mixing: Mixing,
    method: str,
    view: View,
    notes: tuple[str, ...] = (),
    wanted: Wanted = NOTHING,
) -> Iterator[Values]:
    """Compare two models on a picture and fill the page step by step.

    `notes` is what there is to say about the picture itself, one sentence each; `wanted` is what a
    link asks for.
    """
    if picture is None:
        yield {"status": markup.escaped(tr(text.CHOOSE))}
        return
    start = time.perf_counter()
    if not all(store.holds(name) for name in names):
        yield _blank()  # what is shown would otherwise stand beside a download for minutes
    stages = compare(store, picture, names, mixing, method, wanted)
    yield from _stages(stages, None, view, start, notes, wanted)


def explain_row(
    store: ModelStore, shown: Comparison | None, chosen: int, label: str, view: View
) -> Iterator[Values]:
    """Explain, on both sides, the class in the row that was selected on side `chosen`."""
    if shown is None:
        yield {"status": markup.escaped(tr(text.CHOOSE))}
        return
    start = time.perf_counter()
    yield from _stages(explain_class(store, shown, chosen, label), shown, view, start)


def explain_by(
    store: ModelStore, shown: Comparison | None, method: str, view: View
) -> Iterator[Values]:
    """Draw the heat maps by another method, for the same classes."""
    if shown is None:
        yield {"status": markup.escaped(tr(text.CHOOSE))}
        return
    start = time.perf_counter()
    yield from _stages(explain_again(store, shown, method), shown, view, start)


def explain_rival(
    store: ModelStore, shown: Comparison | None, rival_key: str, view: View
) -> Iterator[Values]:
    """Draw the heat maps against another class; an empty key stands for the likeliest one."""
    if shown is None:
        yield {"status": markup.escaped(tr(text.CHOOSE))}
        return
    start = time.perf_counter()
    yield from _stages(explain_against(store, shown, rival_key or None), shown, view, start)


def check(store: ModelStore, shown: Comparison | None, view: View) -> Iterator[Values]:
    """Put both heat maps to the test."""
    if shown is None:
        yield {"status": markup.escaped(tr(text.CHOOSE))}
        return
    start = time.perf_counter()
    yield from _stages(check_maps(store, shown), shown, view, start)


def explain_depth(
    store: ModelStore, shown: Comparison | None, chosen: int, number: int, view: View
) -> Iterator[Values]:
    """Draw the heat map of side `chosen` from another layer, counted from 1."""
    if shown is None:
        yield {"status": markup.escaped(tr(text.CHOOSE))}
        return
    start = time.perf_counter()
    for values in _stages(explain_layer(store, shown, chosen, number), shown, view, start):
        # Its own slider may have moved on meanwhile.
        values.pop(f"{markup.SIDES[chosen]}_depth", None)
        yield values


def _stages(
    stages: Iterator[Stage],
    shown: Comparison | None,
    view: View,
    start: float,
    notes: tuple[str, ...] = (),
    wanted: Wanted = NOTHING,
) -> Iterator[Values]:
    for comparison, status in stages:
        if status:
            yield {"status": markup.escaped(status)} | _changed(shown, comparison, view)
            shown = comparison
        else:
            done = " ".join(
                [text.done(time.perf_counter() - start), *notes, *wanted.missed(comparison)]
            )
            yield page(comparison, view) | {"status": markup.escaped(done)}


def page(comparison: Comparison, view: View) -> Values:
    """Every place but the status line."""
    values = {"result": comparison, **_verdict(comparison), **heat_maps(comparison, view)}
    for index in (0, 1):
        values |= _answer(comparison, index)
    return values | scan_maps(comparison, view)


def _changed(old: Comparison | None, new: Comparison, view: View) -> Values:
    """The places whose content came with the last step."""
    values: Values = {}

    def differs(*names: str) -> list[int]:
        return [
            i
            for i, side in enumerate(new.sides)
            if any(
                getattr(side, name) is not (getattr(old.sides[i], name) if old else None)
                and getattr(side, name) not in {None, ""}
                for name in names
            )
        ]

    for index in differs("answer", "error"):
        values |= _answer(new, index) | _verdict(new)
    # One of two maps would change its colours when the other one joins its scale.
    if differs("heat", "no_heat") and all(s.heat or s.no_heat or s.error for s in new.sides):
        values |= heat_maps(new, view)
    return values


def _blank() -> Values:
    blank = dict.fromkeys(PLACES, "")
    empty = ("answer", "heat", "scan", "depth")
    return (
        blank
        | {f"{side}_{name}": None for side in markup.SIDES for name in empty}
        | {"result": None, "layer": None, "path": None, "swipe": None, "divider": False}
        | {"rival": None, "test": False, "status": tr(text.WORKING)}
        | {"heat_heading": markup.heat_heading(None), "scan_heading": markup.scan_heading()}
    )


def _verdict(comparison: Comparison) -> Values:
    return {
        "verdict": markup.verdict(comparison),
        "caution": markup.causal_caution(comparison),
    }


def _answer(comparison: Comparison, index: int) -> Values:
    side, name = comparison.sides[index], markup.SIDES[index]
    answer = None
    if side.answer is not None and side.facts is not None:
        labels, probabilities = side.facts.vocabulary.labels, side.answer.probabilities
        answer = {labels[i]: float(probabilities[i]) for i in side.answer.best()}
    return {
        f"{name}_head": markup.card_head(side, index),
        f"{name}_answer": answer,
        f"{name}_change": change_markup.card_change(side),
        f"{name}_facts": markup.card_facts(side),
    }


def heat_maps(comparison: Comparison, view: View) -> Values:
    """Both heat maps, on one scale or each on its own, side by side or in one frame."""
    heats = [side.heat for side in comparison.sides if side.heat is not None]
    values: Values = {
        "heat_heading": markup.heat_heading(comparison),
        "heat_legend": "",
        "class_key": comparison.chosen_key or "",
        "rival": _rivals(comparison),
        "test": bool(heats),
        "trust": trust(comparison),
    }
    shared = None
    if heats and view.shared_scale:
        signed = any(heat.signed for heat in heats)
        shared = Scale.shared([heat.values for heat in heats], signed=signed)
        unit = f"{told(heats[0].unit)}, {tr(text.SHARED_UNIT)}"
        bar = map_markup.legend(shared, unit, text.METHOD_TITLES[comparison.method])
        values["heat_legend"] = map_markup.caption(
            [tr(text.SHARED_SCALE), told(heats[0].caveat), agreement_note(comparison)], bar
        )
    elif agreement_note(comparison):
        values["heat_legend"] = map_markup.caption([agreement_note(comparison)])
    for index, side in enumerate(comparison.sides):
        values |= _heat_map(comparison, side, markup.SIDES[index], shared, view.opacity)
    return values | _swiped(comparison, values, view)


def _rivals(comparison: Comparison) -> Control | None:
    """The classes to explain against, where the method does so: what either model thought of."""
    if not METHODS[comparison.method].contrast:
        return None
    choices = {"": tr(text.NEXT_BEST)}
    for side in comparison.sides:
        if side.answer is not None and side.facts is not None:
            known = side.facts.vocabulary
            choices |= {known.keys[i]: known.labels[i] for i in side.answer.best()}
    return Control(comparison.rival_key or "", tuple((v, k) for k, v in choices.items()))


def _swiped(comparison: Comparison, values: Values, view: View) -> Values:
    """The frame with both heat maps in it, in place of the two, where that was asked for."""
    maps = [values[f"{side}_heat"] for side in markup.SIDES]
    if not view.swipe or not all(maps):
        missing = view.swipe and all(side.heat or side.no_heat for side in comparison.sides)
        words = markup.note(tr(text.SWIPE_NEEDS_BOTH)) if missing else ""
        return {"swipe": None, "divider": False, "swipe_caption": words}
    titles = [side.title for side in comparison.sides]
    return {
        "left_heat": None,
        "right_heat": None,
        "swipe": tuple(maps),
        "divider": True,
        "swipe_caption": map_markup.caption([text.swiped(titles)]),
    }


def _heat_map(
    comparison: Comparison, side: Side, name: str, shared: Scale | None, opacity: float
) -> Values:
    heat, facts = side.heat, side.facts
    if heat is None or facts is None or side.seen is None or side.explained is None:
        reason = side.no_heat or side.error
        why = map_markup.instead(tr(text.NO_MAP), reason) if reason else ""
        return {f"{name}_heat": None, f"{name}_heat_caption": why, **_depth(side, name)}
    values, scale, bar = heat.values, shared, ""
    if scale is None:
        scale = Scale.from_zero([values], signed=heat.signed)
        bar = map_markup.legend(scale, told(heat.unit), side.title)
    else:
        values = per_area(values)
    label = facts.vocabulary.labels[side.explained]
    method = text.METHOD_TITLES[comparison.method]
    words = [
        text.heat_caption(
            label if heat.class_index is not None else "",
            heat.values,
            facts.vocabulary.labels[heat.versus] if heat.versus is not None else "",
        ),
        text.layer_note(heat.layer, heat.values.shape),
    ]
    if shared is not None:
        words.append(text.faint(float(np.abs(values).max()), shared.high))
    if comparison.chosen_key not in {None, facts.vocabulary.keys[side.explained]}:
        words.insert(0, text.unknown_here(side.title, comparison.chosen_label))
    return {
        f"{name}_heat": Picture(
            overlay(side.seen, values, scale, opacity),
            text.heat_alt(method, side.title, label, heat.values),
        ),
        f"{name}_heat_caption": map_markup.caption(words, bar),
        **_depth(side, name),
    }


def _depth(side: Side, name: str) -> Values:
    """The chooser of the heat map's layer, where there is more than one, and what was chosen."""
    if side.facts is None or len(side.facts.layers) < 2:
        return {f"{name}_depth": None, f"{name}_depth_key": ""}
    layers = side.facts.layers
    number = layers.index(side.layer or side.facts.layer) + 1
    return {
        f"{name}_depth": Control(number, (1, len(layers))),
        f"{name}_depth_key": str(number) if side.layer else "",
    }


def scan_maps(comparison: Comparison, view: View) -> Values:
    """What each model's scan does at each patch, and the choosers for what there is to choose."""
    traces = [side.trace for side in comparison.sides if side.trace]
    layers = max((path.layer_index + 1 for trace in traces for path in trace), default=0)
    view = replace(view, layer=min(max(view.layer, 1), max(layers, 1)))
    paths = tuple(dict.fromkeys(p.path for trace in traces for p in _layer(trace, view.layer)))
    if paths and view.path not in paths:
        view = replace(view, path=paths[0])
    chosen = [_path(side, view) for side in comparison.sides]
    drawn = [path.on_grid(view.quantity) for path in chosen if path is not None]
    shared = Scale.over(drawn) if drawn and view.shared_scale else None
    values: Values = {
        "scan_heading": markup.scan_heading(view.quantity if traces else None),
        "layer": Control(view.layer, (1, layers)) if layers else None,
        "path": Control(view.path, paths) if paths else None,
    }
    for name, side, path in zip(markup.SIDES, comparison.sides, chosen, strict=True):
        values |= _scan_map(side, name, path, view, shared)
    return values


def scan_again(comparison: Comparison, view: View) -> Values:
    """The scan's maps after a chooser moved, without the layer: it may have moved on meanwhile."""
    values = scan_maps(comparison, view)
    del values["layer"]
    return values


def _path(side: Side, view: View) -> explain.PathTrace | None:
    """The chosen path of the chosen layer, the first one where that layer does not have it."""
    if not side.trace:
        return None
    layer = _layer(side.trace, view.layer)
    return next((path for path in layer if path.path == view.path), layer[0])


def _layer(trace: explain.ScanTrace, number: int) -> list[explain.PathTrace]:
    """The paths of a layer, counted from 1; of the last one where the model has fewer."""
    index = min(number - 1, max(path.layer_index for path in trace))
    return [path for path in trace if path.layer_index == index]


def _scan_map(
    side: Side, name: str, path: explain.PathTrace | None, view: View, shared: Scale | None
) -> Values:
    if path is None or side.seen is None:
        missing = tr(text.NO_ANSWER) if side.error else tr(text.NO_SCAN)
        why = map_markup.instead(missing, side.no_trace or side.error, side.window)
        return {f"{name}_scan": None, f"{name}_scan_caption": why}
    values = path.on_grid(view.quantity)
    scale = shared or Scale.over([values])
    unit = tr(path.units[view.quantity])
    bar = map_markup.legend(scale, unit, tr(text.QUANTITIES[view.quantity]))
    words = [
        text.scan_caption(path.layer_index + 1, path.path, values),
        text.class_token_note(path.class_token(view.quantity), unit),
    ]
    alt = text.scan_alt(side.title, view.quantity, path.layer_index + 1, path.path, values)
    return {
        f"{name}_scan": Picture(overlay(side.seen, np.asarray(values), scale), alt),
        f"{name}_scan_caption": map_markup.caption(words, bar),
    }
