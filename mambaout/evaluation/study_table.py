"""The study's rows, from the cards of its models, and its table in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mambaout.evaluation.paired import paired_difference, unpacked
from mambaout.evaluation.study_words import (
    BELOW,
    BELOW_DIFFERENCES,
    COLUMNS,
    DIFFERENCE,
    DIFFERENCES,
    HEADINGS,
    NOT_MEASURED,
    NOT_TRAINED,
    Say,
    english,
)

_PLACES = {"bidirectional": ("trained", "switched"), "causal": ("trained_causally", "opened")}

# What the differences of a row are changes of.
BASE_OF = {"switched": "trained", "trained_causally": "trained", "opened": "trained_causally"}


def rows_of(cards: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each architecture, seed and schedule, in the order the cards come in.

    Two cards share a row where their recipes are equal but for the mixing, on the same pictures.
    Each accuracy is ``{"top1", "interval", "count"}``, or None where there is no such card. Under
    "differences" are those between them on the same pictures, as of `paired_difference`; None where
    one of the two was not measured, or its card does not tell which pictures it had right.
    """
    rows: dict[str, dict[str, Any]] = {}
    right: dict[str, dict[str, np.ndarray]] = {}  # which pictures, by row and accuracy
    for card in cards:
        schedule = list(_schedule(card))
        key = json.dumps([card["model"], schedule, card["data"]["digest"]])
        row = rows.setdefault(
            key,
            {
                "model": card["model"],
                "seed": card["seed"],
                "params": card["params"],
                "macs": card["macs"],
                "epochs": [step["epochs"] for step in schedule],
                "pixels": card["input_size"][1],
                "classes": len(card["classes"]),
                "train_count": card["data"]["train_count"],
                "hardware": card["hardware"],
                **dict.fromkeys(COLUMNS),
            },
        )
        own, other = _PLACES[card["mixing"]]
        for place, measured in ((own, card), (other, card["other_mixing"])):
            row[place] = _accuracy(measured, card["val_count"])
            if "val_right" in measured:
                bits = unpacked(measured["val_right"], card["val_count"])
                right.setdefault(key, {})[place] = bits
    for key, row in rows.items():
        row["differences"] = dict(_differences(right.get(key, {})))
    return list(rows.values())


def _differences(right: dict[str, np.ndarray]) -> Iterator[tuple[str, dict[str, Any] | None]]:
    for name, base in BASE_OF.items():
        both = name in right and base in right
        yield name, paired_difference(right[base], right[name]) if both else None


def _schedule(card: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Recipes without what two twins may differ in, and with the epochs that were trained."""
    if card.get("start"):
        yield from _schedule(card["start"])
    differing = {"mixing", "init", "epochs"}
    recipe = {key: value for key, value in card["recipe"].items() if key not in differing}
    yield {**recipe, "epochs": card["epochs"]}


def _accuracy(measured: dict[str, Any], count: int) -> dict[str, Any] | None:
    if "val_top1" not in measured:
        return None
    interval = measured["val_top1_interval"]
    return {"top1": measured["val_top1"], "interval": interval, "count": count}


def study_table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown: top-1 with its 95 % interval, and what differs between the rows."""
    titles = ("model", "parameters", "multiply-adds", "epochs", *HEADINGS.values())
    lines = ["| " + " | ".join(titles) + " |", "| --- | --: | --: | --: |" + " --: |" * 4]
    several = len({row["seed"] for row in rows}) > 1
    for row in rows:
        cells = [
            _name(row, several),
            f"{row['params'] / 1e6:.2f} M",
            f"{row['macs'] / 1e6:.0f} M",
            " + ".join(map(str, row["epochs"])),
            *(_cell(row[name]) for name in COLUMNS),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", below_table(rows), ""]
    titles = ("model", *DIFFERENCES.values())
    lines += ["| " + " | ".join(titles) + " |", "| --- |" + " --: |" * len(DIFFERENCES)]
    for row in rows:
        cells = [_name(row, several), *(difference(row, name) for name in DIFFERENCES)]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", below_differences(rows), ""]
    return "\n".join(lines)


def _name(row: dict[str, Any], several: bool) -> str:
    return f"`{row['model']}`" + (f", seed {row['seed']}" if several else "")


def below_table(rows: Sequence[dict[str, Any]], say: Say = english) -> str:
    """What the accuracies of a table are of."""
    first = rows[0]
    return say(
        BELOW,
        count=_count(rows),
        classes=first["classes"],
        pixels=first["pixels"],
        train_count=f"{first['train_count']:,}",
    )


def difference(row: dict[str, Any], name: str, say: Say = english) -> str:
    """One of the `DIFFERENCES` of a row in points, with its interval."""
    if row[name] is None or row[BASE_OF[name]] is None:
        return say(NOT_TRAINED)
    found = row["differences"][name]
    if found is None:
        return say(NOT_MEASURED)
    low, high = found["interval"]
    return say(DIFFERENCE, change=_points(found["change"]), low=_points(low), high=_points(high))


def _points(share: float) -> str:
    return f"{100 * share:+.1f}".replace("-", "−")


def below_differences(rows: Sequence[dict[str, Any]], say: Say = english) -> str:
    """What the differences are, and how to read them."""
    return say(BELOW_DIFFERENCES, count=_count(rows))


def _count(rows: Sequence[dict[str, Any]]) -> str:
    return f"{next(r[name]['count'] for r in rows for name in COLUMNS if r[name]):,}"


def _cell(accuracy: dict[str, Any] | None) -> str:
    if accuracy is None:
        return NOT_TRAINED
    low, high = accuracy["interval"]
    return f"{accuracy['top1']:.1%} ({low:.1%} to {high:.1%})".replace("%", " %")
