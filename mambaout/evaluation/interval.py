"""How sure a share of right answers is."""

from __future__ import annotations

import math

WILSON_Z = 1.959964
"""Quantile of the normal distribution for a 95 % interval."""


def wilson_interval(hits: int, count: int) -> list[float]:
    """95 % interval [low, high] of a share of ``count`` independent pictures (Wilson 1927).

    Its ends stay inside [0, 1], also for 0 or ``count`` hits, where the share ± 2 sigma is a point.
    """
    share, z2 = hits / count, WILSON_Z**2
    spread = math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    ends = (share + z2 / (2 * count) + sign * WILSON_Z * spread for sign in (-1, 1))
    return [min(1.0, max(0.0, end / (1 + z2 / count))) for end in ends]
