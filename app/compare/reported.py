"""A comparison as it is written into a report."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from app import markup
from app.compare.handlers import View, heat_maps, scan_maps
from app.compare.result import Comparison, Side
from app.places import Picture
from mambaout.catalogue.mixing import Mixing
from mambaout.evaluation.comparison_report import Report
from mambaout.evaluation.said import Answered, Said

_FILES = {"heat": "overlay", "scan": "scan"}


def report_of(comparison: Comparison | None, view: View) -> Report | None:
    """Both answers, what they differ in, and the maps as `view` has them; None before any."""
    if comparison is None:
        return None
    answers: list[Answered] = []
    pairs: list[tuple[str, str]] = []
    missing: dict[str, str] = {}
    for index, side in enumerate(comparison.sides):
        name = markup.SIDES[index]
        found = _answers(comparison, index, side)
        answers += found
        if not found:
            missing[name] = side.error
        if len(found) == 2:
            pairs.append((found[1].id, found[0].id))
    if comparison.answered:
        pairs.append(markup.SIDES)
    values = heat_maps(comparison, replace(view, swipe=False)) | scan_maps(comparison, view)
    maps = {
        f"{file}_{side}": values[f"{side}_{kind}"].image
        for kind, file in _FILES.items()
        for side in markup.SIDES
        if isinstance(values[f"{side}_{kind}"], Picture)
    }
    device = next((side.facts.device for side in comparison.sides if side.facts), "")
    return Report(
        comparison.picture, _options(comparison, view), device, answers, pairs, missing, maps
    )


def _answers(comparison: Comparison, index: int, side: Side) -> list[Answered]:
    """The side's answer, and the one that it gives bidirectionally where mixing was switched."""
    if side.answer is None:
        return []
    name, answer = markup.SIDES[index], side.answer
    mixing: Mixing = "bidirectional" if answer.no_causal_form is not None else comparison.mixing
    shown = Answered(
        name,
        comparison.names[index],
        mixing,
        answer,
        heat=side.heat,
        no_heat=side.no_heat,
        trace=side.trace,
        no_trace=side.no_trace,
    )
    if answer.bidirectional is None:
        return [shown]
    before = Said(answer.vocabulary, answer.bidirectional)
    return [shown, Answered(f"{name}_bidirectional", shown.name, "bidirectional", before)]


def _options(comparison: Comparison, view: View) -> dict[str, Any]:
    left, right = comparison.names
    return {
        "left": left,
        "right": right,
        "mixing": comparison.mixing,
        "method": comparison.method,
        "explained_class": comparison.chosen_key,
        "rival_class": comparison.rival_key,
        "view": asdict(view),
    }
