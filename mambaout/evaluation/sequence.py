"""When a sequence is long: the paper's arithmetic.

MambaOut, arXiv 2405.07992, section 3.2 (equations 6 and 7). Operations are multiplications and
additions, each counted: twice the multiply-adds.
"""

from __future__ import annotations

from typing import NamedTuple


class Operations(NamedTuple):
    """Of one Transformer block on one sequence."""

    linear: int  # in the number of tokens: projections and MLP
    quadratic: int  # the two products of attention

    @property
    def ratio(self) -> float:
        """The quadratic part over the linear one, r_L = L / (6 D)."""
        return self.quadratic / self.linear


def tokens(height: int, width: int, patch: int, stride: int | None = None) -> int:
    """How many patches a picture is cut into; one that is cut off at the edge counts as whole.

    Args:
        height: of the picture [px].
        width: of the picture [px].
        patch: side of a patch [px].
        stride: from one patch to the next [px]; ``patch`` if not given.
    """
    step = stride or patch
    down, across = (max(0, -(-(side - patch) // step)) + 1 for side in (height, width))
    return down * across


def transformer_block(length: int, channels: int) -> Operations:
    """24 D² L + 4 D L² (equation 6), for fully visible attention and an MLP of ratio 4.

    Of the 24, 8 are the projections of attention and 16 the MLP.
    """
    return Operations(24 * channels**2 * length, 4 * channels * length**2)


def threshold(channels: int) -> int:
    """τ = 6 D tokens: in longer sequences the quadratic part outweighs the linear one (eq. 7)."""
    return 6 * channels


def is_long(length: int, channels: int) -> bool:
    """Characteristic 1 of the paper: whether a sequence of this many tokens is long."""
    return length > threshold(channels)


def scan(length: int, channels: int, *, states: int = 16, expand: int = 2, paths: int = 2) -> int:
    """9 L d n operations a path, with d = ``expand`` · D: a selective scan as VMamba counts it.

    The defaults are Vim's.
    """
    return 9 * paths * length * expand * channels * states


def depthwise(length: int, channels: int, kernel: int = 7) -> int:
    """2 k² L D operations; the default is the convolution of MambaOut's Gated CNN block."""
    return 2 * kernel**2 * length * channels
