"""How numbers are written in sentences."""

from __future__ import annotations

import math

from app.language import tr


def number(value: float) -> str:
    """Three significant digits, as one writes them by hand."""
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    if -3 <= exponent < 5:
        decimals = max(0, 2 - exponent)
        written = f"{value:.{decimals}f}"
        return (written.rstrip("0").rstrip(".") if "." in written else written).replace("-", "−")
    mantissa = f"{value / 10**exponent:.2f}".rstrip("0").rstrip(".")
    superscript = str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa.replace('-', '−')} × 10{superscript}"


def percent(probability: float) -> str:
    """A probability in percent: "61 %", "0.4 %", never "0 %" for what is possible."""
    value = 100 * probability
    if value >= 9.95:
        return f"{value:.0f} %"
    return f"{value:.1f} %" if value >= 0.05 else "< 0.1 %"


def duration(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def count(value: float) -> str:
    """A large count: "1.02 M", "4.2 G"."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e7 else f"{size / 1e6:.1f} MB"


def change(before: float, after: float) -> str:
    """A change of probability, in percentage points with its sign."""
    points = round(100 * (after - before), 1)
    if points == 0:
        return tr("±0 points")
    return tr("{change} points", change=f"{'+' if points > 0 else '−'}{abs(points):g}")
