"""How large each model is, counted ahead of time.

Counting takes seconds per model, and whoever chooses one wants to see all. The numbers are in
`sizes.json`, which `python -m mambaout.evaluation.sizes` writes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mambaout.models.bundled import bundled_card
from mambaout.models.weights import declared_weights

SIZES_FILE = Path(__file__).with_name("sizes.json")


@dataclass(frozen=True)
class Size:
    """Numbers that a model holds, and that it multiplies and adds for one picture."""

    params: int
    macs: int  # multiply-adds at the declared picture size, as `mambaout.evaluation.cost` counts


def counted_size(name: str) -> Size | None:
    """The size of a registered model with weights; None if nobody counted it.

    That of a miniature is on the card beside its weights.
    """
    file = declared_weights(name).file
    card = bundled_card(file) if file else None
    counted = _counted().get(name) if card is None else card
    return None if counted is None else Size(int(counted["params"]), int(counted["macs"]))


@cache
def _counted() -> dict[str, dict[str, int]]:
    sizes: dict[str, dict[str, int]] = json.loads(SIZES_FILE.read_text(encoding="utf-8"))
    return sizes
