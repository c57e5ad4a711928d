"""PlainMamba's token mixer: four serpentine scans that know which way they step."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import trunc_normal_
from torch import Tensor, nn

from mambaout.models.initial import init_linear, log_rates, step_projection
from mambaout.models.scan_projection import ScanProjection
from mambaout.ops import ScanInputs, ScanOrder, path_scan

_PATHS = ("rows", "rows_flip", "columns", "columns_flip")


class PlainMambaMixer(ScanProjection):
    """Four serpentine scans with one set of parameters, added up and gated.

    Arxiv:2403.17695, section 3.2 and 3.3. Each step adds a learned vector to B that says which way
    the path came: ``direction_Bs`` has rows for a path's first token and for steps right, left, up
    and down.

    Args:
        dim: width of the tokens.
        d_state: state size of each channel, N.
        expand: the scans run in ``expand * dim`` channels.
    """

    def __init__(self, dim: int, d_state: int = 16, expand: int = 2) -> None:
        super().__init__()
        inner = expand * dim
        self.d_state = d_state
        self.dt_rank = math.ceil(dim / 16)
        self.in_proj = nn.Linear(dim, 2 * inner)
        self.conv2d = nn.Conv2d(inner, inner, 7, padding=3, groups=inner)
        self.x_proj = nn.Linear(inner, self.dt_rank + 2 * d_state, bias=False)
        self.dt_proj = step_projection(self.dt_rank, inner)
        self.A_log = log_rates(inner, d_state)
        self.D = nn.Parameter(torch.ones(inner))
        self.direction_Bs = nn.Parameter(torch.empty(5, d_state))
        self.out_proj = nn.Linear(inner, dim)
        for layer in (self.in_proj, self.x_proj, self.out_proj):
            init_linear(layer)
        trunc_normal_(self.direction_Bs, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        """A map of tokens (b, h, w, dim) → (b, h, w, dim)."""
        z, walks, scan = self._projected_to_scan(x)
        results = path_scan(**scan)
        y = sum(walk.back(result) for walk, result in zip(walks, results, strict=True))
        y = self.out_proj(y * F.silu(z))
        return y.unflatten(1, x.shape[1:3])  # type: ignore[no-any-return]

    def scan_inputs(self, x: Tensor) -> list[ScanInputs]:
        """What each path's scan is given for a map of tokens ``x`` (b, h, w, dim).

        At step t the scan writes the token at ``order[t]`` with the Δ, B and C of token t.
        """
        z, walks, scan = self._projected_to_look_at(x)
        delta = F.softplus(scan["delta"].float() + scan["delta_bias"][:, None, None].float())
        return [
            ScanInputs(
                path=path,
                order=walk.order,
                u=scan["u"][k].mT,
                delta=delta[k].mT,
                A=scan["A"][k],
                B=scan["B"][k].mT,
                C=scan["C"][k].mT,
                D=scan["D"][k],
                z=walk.along(z).mT,
            )
            for k, (path, walk) in enumerate(zip(_PATHS, walks, strict=True))
        ]

    def _project(self, x: Tensor, *_: Any) -> tuple[Tensor, list[ScanOrder], dict[str, Any]]:
        """The gate (b, l, d) in raster order, the paths, and the arguments of `path_scan`."""
        height, width = x.shape[1:3]
        inner, gate = self.in_proj(x).chunk(2, dim=-1)
        u = F.silu(self.conv2d(inner.permute(0, 3, 1, 2))).flatten(2).mT
        step, B, C = self.x_proj(u).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        delta = F.linear(step, self.dt_proj.weight)
        paths = [serpentine(path, height, width, x.device) for path in _PATHS]

        def for_each_path(t: Tensor) -> Tensor:
            return t.expand(len(paths), *t.shape)

        return (
            gate.flatten(1, 2),
            [walk for walk, _ in paths],
            {
                # Δ, B and C are not put in the path's order: the weights were trained so.
                "u": torch.stack([walk.along(u) for walk, _ in paths]),
                "delta": for_each_path(delta),
                "A": for_each_path(-torch.exp(self.A_log.float())),
                "B": torch.stack([B + self.direction_Bs[moves] for _, moves in paths]),
                "C": for_each_path(C),
                "D": for_each_path(self.D),
                # Twice, as the authors' code adds it: the weights were trained so.
                "delta_bias": for_each_path(2 * self.dt_proj.bias),
                "reverse": (False,) * len(paths),
            },
        )


def serpentine(
    path: str, height: int, width: int, device: torch.device | None = None
) -> tuple[ScanOrder, Tensor]:
    """A walk that turns round at each border, so that every step leads to a neighbour.

    Args:
        path: "rows" or "columns", from the top left; with "_flip" the same walk from its end.
        height: tokens down.
        width: tokens across.
        device: where the indices shall be.

    Returns:
        The walk, and for each of its steps the move that led there, (h*w,) int64: 0 start, 1 right,
        2 left, 3 up, 4 down.

    >>> walk, moves = serpentine("rows", 2, 3)
    >>> walk.order.tolist(), moves.tolist()
    ([0, 1, 2, 5, 4, 3], [0, 1, 1, 4, 2, 2])
    """
    grid = torch.arange(height * width, device=device).view(height, width)
    lines = (grid.T if path.startswith("columns") else grid).clone()
    lines[1::2] = lines[1::2].flip(1)
    order = lines.flatten()
    if path.endswith("_flip"):
        order = order.flip(0)
    down = (order // width).diff()
    across = (order % width).diff()
    moves = torch.where(across > 0, 1, torch.where(across < 0, 2, torch.where(down < 0, 3, 4)))
    return ScanOrder(order, order.argsort()), F.pad(moves, (1, 0))
