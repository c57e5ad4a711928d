"""The words of the tests that a heat map can be put to."""

from __future__ import annotations

import math

from app.language import noted, tr
from app.numbers import percent

BUTTON = noted("Test these maps")
HEADING = noted("What these maps are worth")
HELP = noted(
    "Each map names places. Deletion takes the most important ones away first, insertion puts them "
    "back first, into a blurred picture; the number is the mean probability of the class on the "
    "way. ROAD fills places in from their neighbours: how much more the class suffers from the "
    "most important ones than from the least. The control draws the classifier's weights anew and "
    "asks how much the map stays the same: a map that does is not about what was learned."
)
ROWS = {
    "deletion": (noted("Deletion"), noted("lower is better")),
    "insertion": (noted("Insertion"), noted("higher is better")),
    "road": (noted("ROAD"), noted("higher is better, 0 says nothing")),
    "control": (
        noted("Map kept with redrawn weights"),
        noted("rank correlation, near 1 is a warning"),
    ),
}
CAPTION = noted("Tests of both heat maps")
TEST = noted("test")


def checking(name: str, progress: tuple[int, int | None] | None) -> str:
    """A status line while a map is tested."""
    if progress is None or progress[1] is None:
        return tr("Testing the map of {model} …", model=name)
    done, total = progress
    return tr("Testing the map of {model}: {done} of {total} …", model=name, done=done, total=total)


def agreement(rank_correlation: float, top_overlap: float) -> str:
    """How alike two maps are, on the coarser of their grids."""
    if math.isnan(rank_correlation):  # NaN: one of them is the same everywhere
        return tr("One of the two maps is the same everywhere: they cannot be compared.")
    return tr(
        "Agreement of the two maps: rank correlation {rho}, and {overlap} of the strongest fifth "
        "in common.",
        rho=f"{rank_correlation:.2f}".replace("-", "−"),
        overlap=percent(top_overlap),
    )


def measure(value: float) -> str:
    """A number of the table, with a real minus sign."""
    return f"{value:.2f}".replace("-", "−")
