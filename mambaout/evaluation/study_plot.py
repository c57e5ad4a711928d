"""The study as a picture: one SVG without scripts or fonts of its own, for light and dark pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from mambaout.evaluation.study_words import (
    ACCURACY,
    AXIS,
    EPOCHS,
    HEADINGS,
    ROW,
    SEED,
    SEED_AND_EPOCHS,
    TITLE,
    Say,
    english,
)

_SHOWN = ("trained", "switched", "trained_causally")
_LEFT, _WIDTH, _TOP, _ROW, _STEP = 150.0, 520.0, 64.0, 66.0, 16.0
_STYLE = """
text { font: 14px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 12px; fill: #59636e; }
.page { fill: #ffffff; } .grid { stroke: #d1d9e0; } .chance { stroke: #59636e; }
.trained { stroke: #0550ae; fill: #0550ae; }
.switched { stroke: #953800; fill: #ffffff; }
.trained_causally { stroke: #116329; fill: #116329; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } .small { fill: #9198a1; }
  .page { fill: #0d1117; } .grid { stroke: #3d444d; } .chance { stroke: #9198a1; }
  .trained { stroke: #79c0ff; fill: #79c0ff; }
  .switched { stroke: #ffa657; fill: #0d1117; }
  .trained_causally { stroke: #7ee787; fill: #7ee787; }
}
"""


def plot(rows: Sequence[dict[str, Any]], say: Say = english, *, styled: bool = True) -> str:
    """Top-1 of every row as three marks, each with its 95 % interval, over one scale from 0.

    Shapes tell the marks apart as well as colours; the words are in ``<title>`` and ``<desc>``.

    Args:
        rows: of the study, see `rows_of`.
        say: translates the words.
        styled: with a style sheet of its own; in a page, whose styles it would change, without.
    """
    highest = max(row[name]["interval"][1] for row in rows for name in _SHOWN if row[name])
    end = min(100, 10 * int(highest * 10 + 1))  # percent
    height = _TOP + _ROW * len(rows) + 44
    bottom = _TOP + _ROW * len(rows)
    parts = [
        (
            '<svg xmlns="http://www.w3.org/2000/svg" class="study" '
            f'viewBox="0 0 700 {height:g}" role="img" aria-labelledby="study-title study-words">'
        ),
        f'<title id="study-title">{escape(say(TITLE, classes=rows[0]["classes"]))}</title>',
        f'<desc id="study-words">{escape(description(rows, say))}</desc>',
        *([f"<style>{_STYLE}</style>"] if styled else []),
        f'<rect class="page" width="700" height="{height:g}"/>',
        *_legend(say),
    ]
    for percent in range(0, end + 1, 10):
        x = _x(percent / 100, end)
        parts += [
            f'<line class="grid" x1="{x}" x2="{x}" y1="{_TOP - 8:g}" y2="{bottom:g}"/>',
            (
                f'<text class="small" x="{x}" y="{bottom + 18:g}" text-anchor="middle">'
                f"{percent}</text>"
            ),
        ]
    chance = _x(1 / rows[0]["classes"], end)
    parts += [
        (
            f'<line class="chance" x1="{chance}" x2="{chance}" y1="{_TOP - 8:g}" y2="{bottom:g}" '
            'stroke-dasharray="3 4"/>'
        ),
        (f'<text class="small" x="{_LEFT:g}" y="{bottom + 36:g}">{escape(say(AXIS))}</text>'),
    ]
    several = len({row["seed"] for row in rows}) > 1
    for i, row in enumerate(rows):
        middle = _TOP + _ROW * i + _ROW / 2
        epochs = " + ".join(map(str, row["epochs"]))
        below = say(SEED_AND_EPOCHS if several else EPOCHS, epochs=epochs, seed=row["seed"])
        parts += [
            f'<text x="8" y="{middle:g}">{escape(row["model"])}</text>',
            f'<text class="small" x="8" y="{middle + 16:g}">{escape(below)}</text>',
        ]
        for k, name in enumerate(_SHOWN):
            if row[name]:
                low, high = (_x(value, end) for value in row[name]["interval"])
                y = f"{middle + (k - 1) * _STEP:g}"
                parts += [
                    (
                        f'<line class="{name}" stroke-width="2" x1="{low}" x2="{high}" y1="{y}" '
                        f'y2="{y}"/>'
                    ),
                    _mark(name, _x(row[name]["top1"], end), y),
                ]
    return "\n".join([*parts, "</svg>", ""])


def description(rows: Sequence[dict[str, Any]], say: Say = english) -> str:
    """The plot in words, for those who do not see it."""
    sentences = []
    for row in rows:
        told = [
            say(
                ACCURACY,
                heading=say(HEADINGS[name]),
                top1=f"{row[name]['top1']:.1%}",
                low=f"{row[name]['interval'][0]:.1%}",
                high=f"{row[name]['interval'][1]:.1%}",
            )
            for name in _SHOWN
            if row[name]
        ]
        name = f"{row['model']}, {say(SEED, seed=row['seed'])}"
        sentences.append(say(ROW, name=name, accuracies=", ".join(told)))
    return " ".join(sentences)


def _legend(say: Say) -> list[str]:
    parts = []
    for k, name in enumerate(_SHOWN):
        x = 20 + k * 225
        parts += [
            _mark(name, f"{x}", "24"),
            f'<text x="{x + 14}" y="29">{escape(say(HEADINGS[name]))}</text>',
        ]
    return parts


def _mark(name: str, x: str, y: str) -> str:
    """A full circle, an empty circle or a full diamond."""
    if name == "trained_causally":
        return f'<path class="{name}" d="M{x} {y}m-7 0l7 -7l7 7l-7 7z"/>'
    return f'<circle class="{name}" cx="{x}" cy="{y}" r="5.5" stroke-width="2"/>'


def _x(share: float, end: int) -> str:
    return f"{_LEFT + _WIDTH * 100 * share / end:.1f}"
