"""The README's table of models, made from the catalogue."""

from __future__ import annotations

import re
from itertools import groupby

from mambaout.catalogue.cards import ModelCard, offered
from mambaout.catalogue.published import PUBLISHED

START, END = "<!-- models:start -->", "<!-- models:end -->"
_BETWEEN = re.compile(f"(?<={START}\n).*?(?={END})", flags=re.DOTALL)

_COLUMNS = ("model", "parameters", "multiply-adds", "pixels", "top-1", "weights", "causal view")
_ALIGNMENT = ("---", "--:", "--:", "--:", "--:", "---", "---")
_LICENCES = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "cc-by-nc-sa-4.0": "**CC-BY-NC-SA-4.0**, non-commercial",
}


def models_table() -> str:
    """Every published model as Markdown, family by family; then why some have no causal view."""
    cards = [card for card in offered() if card.name in PUBLISHED]
    rows: list[tuple[str, ...]] = [_COLUMNS, _ALIGNMENT]
    reasons = []
    for (family, mixer), members in groupby(cards, lambda card: (card.family, card.mixer)):
        smallest, *others = members
        reason = smallest.no_causal_form  # the same for the whole family
        rows.append((f"**{family}**: {mixer}", *[""] * (len(_COLUMNS) - 1)))
        rows += [_cells(card, "no" if reason else "yes") for card in (smallest, *others)]
        reasons += [f"- {reason.rstrip('.')}."] if reason else []
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", *reasons, ""])


def with_table(text: str) -> str:
    """``text`` with the table of today between its two markers.

    Raises:
        ValueError: it does not have them, each on a line of its own.
    """
    filled, found = _BETWEEN.subn(lambda _: f"\n{models_table()}\n", text)
    if found != 1:
        raise ValueError(f"expected the lines {START} and {END} once, found them {found} times")
    return filled


def _cells(card: ModelCard, causal: str) -> tuple[str, ...]:
    return (
        f"`{card.name}`",
        f"{card.params / 1e6:.1f} M",
        "" if card.macs is None else f"{card.macs / 1e9:.2f} G",
        str(card.input_size[1]),
        "" if card.top1 is None else f"{card.top1:.1f} %",
        _LICENCES.get(card.licence, card.licence),
        causal,
    )
