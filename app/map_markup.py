"""HTML around the maps: legends, captions, and what stands where there is no map."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from app import text
from app.language import tr
from app.markup import escaped
from app.numbers import number
from mambaout.pictures.overlay import Scale


def instead(missing: str, reason: str, window: np.ndarray | None = None) -> str:
    """What stands in the place of a map that there is none of: what is missing, and why.

    `window` is where a token may look, (h, w) of bool around it.
    """
    drawing = ""
    if window is not None:
        cells = "".join("<i></i>" if used else '<i class="mo-cut"></i>' for used in window.flat)
        words = text.window(window)
        drawing = (
            f'<div class="mo-window" aria-hidden="true" style="--columns:{window.shape[1]}">{cells}'
            f"</div><p>{escaped(words)}</p>"
        )
    return (
        f'<div class="mo-none"><p class="mo-none-what">{escaped(missing)}</p>'
        f"<p>{escaped(text.sentence(reason))}</p>{drawing}</div>"
    )


def caption(words: Iterable[str], legend: str = "") -> str:
    """What belongs under a map: its legend and sentences."""
    lines = "".join(f"<p>{escaped(line)}</p>" for line in words if line)
    return f'<div class="mo-caption">{legend}{lines}</div>'


def legend(scale: Scale, unit: str, name: str) -> str:
    """A colour bar with the two ends of its range, and what one unit means."""
    low, high = number(scale.low), number(scale.high)
    label = escaped(
        tr("{name}: colours from {low} to {high}, {unit}", name=name, low=low, high=high, unit=unit)
    )
    middle = '<span class="mo-zero">0</span>' if scale.signed else ""
    return (
        f'<div class="mo-legend"><span class="mo-end">{escaped(low)}</span>'
        f'<span class="mo-ramp" role="img" aria-label="{label}" '
        f'style="background:{scale.css_gradient()}">{middle}</span>'
        f'<span class="mo-end">{escaped(high)}</span>'
        f'<span class="mo-unit">{escaped(unit)}</span></div>'
    )
