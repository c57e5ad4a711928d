"""Rotary position embeddings of a grid of tokens."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mambaout.models.position import resize_grid


class RotaryPosition(nn.Module):
    """Rotary positions on a grid: half of the channels turn with the row, half with the column.

    Su et al., "RoFormer", arXiv:2104.09864, on pairs of neighbouring channels. Any grid is
    stretched to 14 x 14 places, as the authors do, so that a finer one has places in between. The
    tables are buffers, because the authors' files hold them.

    Args:
        grid: patches down and across.
        dim: width of the tokens; a multiple of 4.
    """

    def __init__(self, grid: tuple[int, int], dim: int) -> None:
        super().__init__()
        self.grid = grid
        half = dim // 2
        frequency = 10000 ** (-torch.arange(0, half, 2).float() / half)  # radians per place
        places = (torch.arange(size) / size * 14 for size in grid)
        place = torch.cartesian_prod(*places)  # (l, 2)
        angle = (place[:, :, None] * frequency).repeat_interleave(2, dim=2).flatten(1)
        self.register_buffer("freqs_cos", angle.cos())
        self.register_buffer("freqs_sin", angle.sin())

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Tokens (b, l, dim) of ``grid``, turned; for another grid the tables are interpolated."""
        cos, sin = self.get_buffer("freqs_cos"), self.get_buffer("freqs_sin")
        if grid != self.grid:
            cos, sin = (
                resize_grid(table[None], self.grid, grid, antialias=False) for table in (cos, sin)
            )
        even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack([-odd, even], dim=-1).flatten(-2)
        return x * cos.to(x) + turned * sin.to(x)
