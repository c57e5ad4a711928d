"""Line charts as inline SVG, on logarithmic axes, with everything in words beside them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from app.markup import escaped

_WIDTH, _HEIGHT = 440, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 14, 22, 42


@dataclass(frozen=True)
class Line:
    """A named series; `kind` chooses its colour and dashes in the style sheet."""

    name: str
    points: Sequence[tuple[float, float]]
    kind: str
    dots: bool = False  # at every point


@dataclass(frozen=True)
class Mark:
    """A place on the horizontal axis worth a line of its own."""

    at: float
    name: str


def chart(
    lines: Sequence[Line],
    across: str,
    up: str,
    description: str,
    written: Callable[[float], str],
    marks: Sequence[Mark] = (),
) -> str:
    """Both axes are logarithmic, so that a power law is a straight line.

    Args:
        lines: positive values; those without points are left out.
        across: name of the horizontal axis.
        up: name of the vertical axis; may be empty where a caption says it.
        description: what the chart shows, in words.
        written: how a value of the vertical axis is written.
        marks: vertical lines.
    """
    lines = [line for line in lines if line.points]
    points = [point for line in lines for point in line.points]
    if not points:
        return ""
    xs = [x for x, _ in points] + [mark.at for mark in marks]
    ys = [y for _, y in points]
    horizontal = _Axis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT, least=2)
    vertical = _Axis(min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP, least=4)
    parts = [
        *_grid(horizontal, vertical, written),
        *_marks(horizontal, marks),
        *_drawn(lines, horizontal, vertical),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, across, "middle"),
        _text(2, 10, up, "start"),
    ]
    names = "".join(
        f'<li><i class="mo-{line.kind}"></i>{escaped(line.name)}</li>' for line in lines
    )
    return (
        f'<svg class="mo-chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escaped(description)}">{"".join(parts)}</svg>'
        f'<ul class="mo-lines" aria-hidden="true">{names}</ul>'
    )


class _Axis:
    """Values onto pixels, by their logarithm."""

    def __init__(self, low: float, high: float, start: float, end: float, least: float) -> None:
        # Never so little that what is measured once, or is constant, fills the whole height.
        middle, half = math.sqrt(low * high), math.sqrt(max(high / low, least))
        self.low, self.high = middle / half, middle * half
        self._start, self._end = start, end

    def __call__(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        """1, 2 and 5 times powers of ten, thinned out where there are many."""
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        for steps in ((1, 2, 5), (1,)):
            found = [
                step * 10.0**decade
                for decade in decades
                for step in steps
                if self.low <= step * 10.0**decade <= self.high
            ]
            if len(found) <= 7:
                break
        return found[:: max(1, math.ceil(len(found) / 7))]


def _grid(horizontal: _Axis, vertical: _Axis, written: Callable[[float], str]) -> Iterator[str]:
    bottom = _HEIGHT - _BOTTOM
    for value in horizontal.ticks():
        x = horizontal(value)
        yield f'<line class="mo-grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>'
        yield _text(x, bottom + 16, f"{value:,.0f}", "middle")
    for value in vertical.ticks():
        y = vertical(value)
        end = horizontal(horizontal.high)
        yield f'<line class="mo-grid" x1="{_LEFT}" x2="{end:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(_LEFT - 6, y + 4, written(value), "end")


def _marks(horizontal: _Axis, marks: Sequence[Mark]) -> Iterator[str]:
    for number, mark in enumerate(marks):
        x = horizontal(mark.at)
        yield (
            f'<line class="mo-mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" '
            f'y2="{_HEIGHT - _BOTTOM}"/>'
        )
        yield _text(x + 4, _TOP + 12 + 16 * number, mark.name, "start")


def _drawn(lines: Sequence[Line], horizontal: _Axis, vertical: _Axis) -> Iterator[str]:
    for line in lines:
        path = " ".join(f"{horizontal(x):.1f},{vertical(y):.1f}" for x, y in line.points)
        yield f'<polyline class="mo-line mo-{line.kind}" points="{path}"/>'
        for x, y in line.points if line.dots else ():
            yield (
                f'<circle class="mo-dotted mo-{line.kind}" cx="{horizontal(x):.1f}" '
                f'cy="{vertical(y):.1f}" r="3.5"/>'
            )


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return (
        f'<text class="mo-axis" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escaped(words)}</text>"
    )
