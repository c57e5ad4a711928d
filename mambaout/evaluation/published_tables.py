"""The results that the paper compares: its Tables 1 to 3, as data with their source."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Cell = str | float | None  # None: the paper has none


@dataclass(frozen=True)
class PublishedTable:
    """One table of the paper.

    Attributes:
        number: in the paper.
        task: what the models were trained and tested for.
        input_size: (H, W) of the pictures for which multiply-adds are given [px].
        columns: column of numbers -> its unit, empty where it has none.
        rows: "model", "mixing" and "source", and a number or None for every column.
    """

    number: int
    task: str
    input_size: tuple[int, int]
    columns: Mapping[str, str]
    rows: tuple[Mapping[str, Cell], ...]


@cache
def published_tables() -> tuple[PublishedTable, ...]:
    """Tables 1, 2 and 3 of arXiv 2405.07992, version 3, as printed.

    Its row "VMambaV9-T" stands in the CVPR 2025 version as "VMambaV3-T" with 82.6 %.
    """
    path = Path(__file__).with_name("published_tables.json")
    return tuple(
        PublishedTable(
            number=table["number"],
            task=table["task"],
            input_size=(table["input"][0], table["input"][1]),
            columns=table["columns"],
            rows=tuple(table["rows"]),
        )
        for table in json.loads(path.read_text(encoding="utf-8"))
    )
