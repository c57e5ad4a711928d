"""Orders in which a scan visits a grid of tokens: by rows, by columns, window by window.

Huang et al., "LocalMamba: Visual State Space Model with Windowed Selective Scan", arXiv:2403.09338.
Directions have the names of the authors' lists: "h" by rows; "v" by columns; "w7" window by window
of 7 x 7 tokens, the windows by rows, and by rows inside; with "_flip" the same walk from its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_DIRECTION = re.compile(r"(h|v|w([1-9]\d*))(_flip)?")


@dataclass(frozen=True)
class ScanOrder:
    """A walk over a grid of h x w tokens, and the way back to raster order.

    Windows that do not fit are filled up with zero tokens below and to the right. These are scanned
    like all others, so that they let the state decay; only their results are dropped.
    """

    order: Tensor  # (steps,) int64: the raster position visited at each step; h*w at a zero token
    restore: Tensor  # (h*w,) int64: for each raster position, the step whose result is put there

    def along(self, x: Tensor) -> Tensor:
        """Tokens (…, h*w, c) in raster order → (…, steps, c) in the order of the walk."""
        steps_of_zeros = len(self.order) > len(self.restore)
        return (F.pad(x, (0, 0, 0, 1)) if steps_of_zeros else x)[..., self.order, :]

    def back(self, y: Tensor) -> Tensor:
        """Results (…, steps or more, c) in the order of the walk → (…, h*w, c) in raster order."""
        return y[..., self.restore, :]


def scan_order(
    direction: str, height: int, width: int, device: torch.device | None = None
) -> ScanOrder:
    """The walk that ``direction`` names, over a grid of ``height`` x ``width`` tokens.

    The way back from "v" and "v_flip" is the authors': they read the results, which are column by
    column, as an array of (height, width) and transpose that. It undoes the walk on square grids
    only; on others, results land at other tokens than they belong to. Kept, to equal their numbers.

    Args:
        direction: "h", "v", "w2", "w7", … or one of these with "_flip".
        height: tokens down.
        width: tokens across.
        device: where the indices shall be.

    Raises:
        ValueError: there is no such direction.

    Windows of 2 x 2 on 2 x 3 tokens; 6 stands for the zero tokens that fill the second window:

    >>> walk = scan_order("w2", 2, 3)
    >>> walk.order.tolist(), walk.restore.tolist()
    ([0, 1, 3, 4, 2, 6, 5, 6], [0, 1, 4, 2, 3, 6])
    """
    match = _DIRECTION.fullmatch(direction)
    if match is None:
        raise ValueError(
            'a direction is "h", "v" or "w" and a number, or one of these and "_flip", '
            f"got {direction!r}"
        )
    tokens = height * width
    grid = torch.arange(tokens, device=device).view(height, width)
    if match[1] == "v":
        order = grid.T.reshape(-1)
        restore = grid.T.reshape(-1)  # not argsort(order): see above
    elif match[2] is not None:
        order = _by_windows(grid, int(match[2]))
        restore = order.argsort()[:tokens]
    else:
        order = restore = grid.reshape(-1)
    if match[3] is not None:
        order, restore = order.flip(0), len(order) - 1 - restore
    return ScanOrder(order, restore)


def _by_windows(grid: Tensor, side: int) -> Tensor:
    """The entries of a (h, w) grid by windows of ``side`` x ``side``, h*w where it is filled up."""
    height, width = grid.shape
    grid = F.pad(grid, (0, -width % side, 0, -height % side), value=height * width)
    windows = grid.view(grid.shape[0] // side, side, grid.shape[1] // side, side)
    return windows.transpose(1, 2).reshape(-1)
