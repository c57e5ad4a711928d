"""The study's rows, from the cards of its models, and its table in Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from mambaout.evaluation.study_words import BELOW, COLUMNS, HEADINGS, NOT_TRAINED, Say, english

_PLACES = {"bidirectional": ("trained", "switched"), "causal": ("trained_causally", "opened")}


def rows_of(cards: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each architecture, seed and schedule, in the order the cards come in.

    Two cards share a row where their recipes are equal but for the mixing, on the same pictures.
    Each accuracy is ``{"top1", "interval", "count"}``, or None where there is no such card.
    """
    rows: dict[str, dict[str, Any]] = {}
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
        row[own] = _accuracy(card, card["val_count"])
        row[other] = _accuracy(card["other_mixing"], card["val_count"])
    return list(rows.values())


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
            f"`{row['model']}`" + (f", seed {row['seed']}" if several else ""),
            f"{row['params'] / 1e6:.2f} M",
            f"{row['macs'] / 1e6:.0f} M",
            " + ".join(map(str, row["epochs"])),
            *(_cell(row[name]) for name in COLUMNS),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    lines += ["", below_table(rows), ""]
    return "\n".join(lines)


def below_table(rows: Sequence[dict[str, Any]], say: Say = english) -> str:
    """What the accuracies of a table are of."""
    first = rows[0]
    return say(
        BELOW,
        count=f"{next(r[name]['count'] for r in rows for name in COLUMNS if r[name]):,}",
        classes=first["classes"],
        pixels=first["pixels"],
        train_count=f"{first['train_count']:,}",
    )


def _cell(accuracy: dict[str, Any] | None) -> str:
    if accuracy is None:
        return NOT_TRAINED
    low, high = accuracy["interval"]
    return f"{accuracy['top1']:.1%} ({low:.1%} to {high:.1%})".replace("%", " %")
