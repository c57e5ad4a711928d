"""LocalVim's token mixer: a selective scan per direction, over patches and a class token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambaout.models.channel_gate import ChannelGate
from mambaout.models.initial import log_rates, step_projection
from mambaout.models.scan_projection import ScanProjection
from mambaout.ops import ScanInputs, ScanOrder, causal_conv1d, path_scan, scan_order


class LocalVimMixer(ScanProjection):
    """One projection in, a scan per direction, gated and added, one projection out.

    Arxiv:2403.09338, section 3. Each direction has a convolution, projections, A and D of its own;
    all share the gate over channels.

    Args:
        dim: width of the tokens, D.
        directions: of the scans, as `scan_order` names them.
        grid: patches down and across.
        has_class_token: whether a class token stands before patch ``n_patches // 2``. It is scanned
            at that very step of every direction.
        d_state: state size of each channel, N.
        d_conv: taps of the convolution before each scan.
        expand: the scans run in ``expand * dim`` channels.
    """

    def __init__(
        self,
        dim: int,
        directions: Sequence[str],
        grid: tuple[int, int],
        has_class_token: bool,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
    ) -> None:
        super().__init__()
        inner = expand * dim
        self.directions = tuple(directions)
        self.grid = grid
        self.has_class_token = has_class_token
        self.d_state = d_state
        self.dt_rank = math.ceil(dim / 16)
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        for k in range(len(self.directions)):
            conv = nn.Conv1d(inner, inner, d_conv, groups=inner, padding=d_conv - 1)
            self.add_module(f"conv1d_{k}", conv)
            self.add_module(f"x_proj_{k}", nn.Linear(inner, self.dt_rank + 2 * d_state, bias=False))
            self.add_module(f"dt_proj_{k}", step_projection(self.dt_rank, inner))
            # One tensor each: the authors' four share their memory, so that a file loaded on a CPU
            # gives all directions the last one's rates.
            self.register_parameter(f"A_log_{k}", log_rates(inner, d_state))
            self.register_parameter(f"D_{k}", nn.Parameter(torch.ones(inner)))
        self.attn = ChannelGate(inner)
        self.out_proj = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Tokens (b, l, dim) in raster order → (b, l, dim); ``grid`` where it is another one."""
        z, walks, scan = self._projected_to_scan(x, grid)
        y = path_scan(**scan) * F.silu(z)
        results = [walk.back(result) for walk, result in zip(walks, y, strict=True)]
        gated = self.attn(torch.stack(results))
        return self.out_proj(gated.sum(0))  # type: ignore[no-any-return]

    def scan_inputs(self, x: Tensor, grid: tuple[int, int] | None = None) -> list[ScanInputs]:
        """What each direction's scan is given for tokens ``x`` (b, l, dim); see `ScanInputs`.

        A step with position l is at no token but at zeros that fill up a window; they decay the
        state as tokens do.
        """
        z, walks, scan = self._projected_to_look_at(x, grid)
        delta = F.softplus(scan["delta"].float() + scan["delta_bias"][:, None, None].float())
        inputs = []
        for k, (direction, walk) in enumerate(zip(self.directions, walks, strict=True)):
            steps = len(walk.order)
            inputs.append(
                ScanInputs(
                    path=direction,
                    order=walk.order,
                    u=scan["u"][k, :, :steps].mT,
                    delta=delta[k, :, :steps].mT,
                    A=scan["A"][k],
                    B=scan["B"][k, :, :steps].mT,
                    C=scan["C"][k, :, :steps].mT,
                    D=scan["D"][k],
                    z=z[k, :, :steps].mT,
                    grid=grid or self.grid,
                )
            )
        return inputs

    def _project(
        self, x: Tensor, grid: tuple[int, int] | None
    ) -> tuple[Tensor, list[ScanOrder], dict[str, Any]]:
        """The gates (k, b, steps, d), the walks, and the arguments of `path_scan`: in scan order.

        All directions have as many steps as the longest; the zeros after the end of the others
        touch nothing that came before.
        """
        height, width = grid or self.grid
        walks = [scan_order(name, height, width, x.device) for name in self.directions]
        if self.has_class_token:
            walks = [_with_class_token(walk, height * width // 2) for walk in walks]
        steps = max(len(walk.order) for walk in walks)
        projected = self.in_proj(x)
        walked = [walk.along(projected) for walk in walks]
        walked = [F.pad(t, (0, 0, 0, steps - t.shape[1])) for t in walked]
        inner, gates = torch.stack(walked).chunk(2, dim=-1)
        u = torch.stack(
            [
                F.silu(causal_conv1d(t, conv.weight, conv.bias, reverse=False))
                for t, conv in zip(inner, self._each("conv1d"), strict=True)
            ]
        )
        x_weight = torch.stack([proj.weight.mT for proj in self._each("x_proj")])
        step, B, C = torch.matmul(u, x_weight[:, None]).split(
            [self.dt_rank, self.d_state, self.d_state], dim=-1
        )
        step_weight = torch.stack([proj.weight.mT for proj in self._each("dt_proj")])
        return (
            gates,
            walks,
            {
                "u": u,
                # Without its bias, which the scan adds once, before the softplus.
                "delta": torch.matmul(step, step_weight[:, None]),
                "A": -torch.exp(torch.stack(self._each("A_log")).float()),
                "B": B,
                "C": C,
                "D": torch.stack(self._each("D")),
                "delta_bias": torch.stack([proj.bias for proj in self._each("dt_proj")]),
                "reverse": (False,) * len(walks),
            },
        )

    def _each(self, name: str) -> list[Any]:
        return [getattr(self, f"{name}_{k}") for k in range(len(self.directions))]

    def extra_repr(self) -> str:
        return f"directions={self.directions}"


def _with_class_token(walk: ScanOrder, middle: int) -> ScanOrder:
    """A walk over patches as one over tokens, the class token at ``middle`` of either sequence."""

    def around(indices: Tensor) -> Tensor:
        indices = indices + (indices >= middle)
        return torch.cat([indices[:middle], indices.new_tensor([middle]), indices[middle:]])

    return ScanOrder(around(walk.order), around(walk.restore))
