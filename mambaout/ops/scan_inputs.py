"""What one scan path of a layer is given: the bridge from a model to its explanation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class ScanInputs:
    """The arguments of one selective scan, all in scan order, with where each token came from.

    A step whose position lies just past the last token is at no token: some families fill up
    windows with zeros and scan those too. Where a gate multiplies the sum of several paths, ``z``
    is that gate, the same for each path.
    """

    path: str  # the path's name in its family: "forward", "backward", …
    order: Tensor  # (l,) int64; order[t] is the position on the token axis visited at step t
    u: Tensor  # (b, d, l)
    delta: Tensor  # (b, d, l), after the softplus, in scan steps
    A: Tensor  # (d, n), negative
    B: Tensor  # (b, n, l)
    C: Tensor  # (b, n, l)
    D: Tensor  # (d,)
    z: Tensor | None = None  # (b, d, l), the gate before its SiLU; None where the family has none
    grid: tuple[int, int] | None = None  # (h, w) of the patches, where the mixer knows it
