"""What the token mixers of VMamba, LocalVMamba and EfficientVMamba share: scans over a grid."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambaout.models.initial import log_rates
from mambaout.models.initial_step import initial_step_bias
from mambaout.models.mixing_conv import MixingConv2d
from mambaout.models.scan_projection import ScanProjection
from mambaout.ops import ScanInputs, path_scan
from mambaout.ops.layer_scan import PathParameters, step_sizes

N_PATHS = 4


class GridScan(ScanProjection, ABC):
    """A projection, a small convolution, four scans, a projection; "SS2D" in the authors' code.

    Liu et al., "VMamba: Visual State Space Model", arXiv:2401.10166. The parameters of the scans
    are stacked path by path, under the authors' names. Subclasses choose the paths and put their
    results together.

    Args:
        dim: width of the tokens.
        d_state: state size of each channel, N.
        ssm_ratio: the scans run in ``int(ssm_ratio * dim)`` channels.
        gate: whether SiLU of a second projection multiplies the result. As in the authors' models,
            the convolution has a bias in a gated mixer and none in one without a gate.
    """

    def __init__(
        self, dim: int, d_state: int = 16, ssm_ratio: float = 2.0, gate: bool = True
    ) -> None:
        super().__init__()
        inner = int(ssm_ratio * dim)
        self.gate = gate
        self.d_state = d_state
        self.dt_rank = math.ceil(dim / 16)
        self.in_proj = nn.Linear(dim, 2 * inner if gate else inner, bias=False)
        self.conv2d = MixingConv2d(inner, inner, 3, padding=1, groups=inner, bias=gate)
        reach = inner**-0.5, self.dt_rank**-0.5
        self.x_proj_weight = nn.Parameter(
            torch.empty(N_PATHS, self.dt_rank + 2 * d_state, inner).uniform_(-reach[0], reach[0])
        )
        self.dt_projs_weight = nn.Parameter(
            torch.empty(N_PATHS, inner, self.dt_rank).uniform_(-reach[1], reach[1])
        )
        self.dt_projs_bias = nn.Parameter(initial_step_bias(N_PATHS, inner))
        self.A_logs = log_rates(N_PATHS * inner, d_state)
        self.Ds = nn.Parameter(torch.ones(N_PATHS * inner))
        self.out_norm = nn.LayerNorm(inner)
        self.out_proj = nn.Linear(inner, dim, bias=False)

    paths: tuple[str, ...]  # what the paths that run are called, in the order of the path axis

    @property
    def _rows(self) -> list[int]:
        """Which of the four stacked sets of parameters the paths use."""
        return list(range(N_PATHS))

    @property
    def _reverse(self) -> tuple[bool, ...]:
        """Whether each path runs through its sequence from the end."""
        return (False,) * len(self.paths)

    @abstractmethod
    def _orders(self, height: int, width: int, device: torch.device) -> list[Tensor]:
        """The raster position of each token of each path's sequence, h*w for a token of zeros."""

    @abstractmethod
    def _sequences(self, u: Tensor) -> Tensor:
        """A map (b, h, w, d) → the paths' sequences (k, b, l, d)."""

    @abstractmethod
    def _merged(self, y: Tensor, height: int, width: int) -> Tensor:
        """The results of the paths' sequences (k, b, l, d) → a map (b, h, w, d)."""

    def forward(self, x: Tensor) -> Tensor:
        """A map of tokens (b, h, w, dim) → (b, h, w, dim)."""
        u, z = self._projected_to_scan(x)
        y = self.out_norm(self._scanned(u))
        if z is not None:
            y = y * F.silu(z)
        return self.out_proj(y)  # type: ignore[no-any-return]

    def _scanned(self, u: Tensor) -> Tensor:
        """What the scans make of a map (b, h, w, d), merged: a map of the same shape."""
        y = path_scan(**self._scan_arguments(self._sequences(u)))
        return self._merged(y, u.shape[1], u.shape[2])

    def scan_inputs(self, x: Tensor) -> list[ScanInputs]:
        """What each path's scan is given for a map of tokens ``x`` (b, h, w, dim).

        Positions in ``order`` count the tokens in raster order. A step with position h*w is at no
        token but at zeros that fill up a window or a sub-grid; they decay the state as tokens do.
        The gate z of this family multiplies the normed sum of the paths, not each path's result.
        """
        u, z = self._projected_to_look_at(x)
        u = self._sequences(u)
        steps, B, C = self._low(u).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        weights, biases, log_rates, skips = self._parameters_of_scans()
        delta = step_sizes(steps, weights, biases)
        # One more token, of zeros, for the steps that are at no token.
        gate = None if z is None else F.pad(z.flatten(1, 2), (0, 0, 0, 1))
        inputs = []
        orders = self._orders(x.shape[1], x.shape[2], x.device)
        for k, (path, visited) in enumerate(zip(self.paths, orders, strict=True)):
            back = self._reverse[k]
            order = visited.flip(0) if back else visited

            def along_path(t: Tensor, back: bool = back, steps: int = len(order)) -> Tensor:
                t = t[:, :steps]  # (b, l or more, c) -> (b, c, l)
                return (t.flip(1) if back else t).mT

            inputs.append(
                ScanInputs(
                    path=path,
                    order=order,
                    u=along_path(u[k]),
                    delta=along_path(delta[k]),
                    A=-torch.exp(log_rates[k].float()),
                    B=along_path(B[k]),
                    C=along_path(C[k]),
                    D=skips[k],
                    z=None if gate is None else gate[:, order].mT,
                )
            )
        return inputs

    def _project(self, x: Tensor, *_: Any) -> tuple[Tensor, Tensor | None]:
        """What is scanned, and the gate before its SiLU: maps (b, h, w, d)."""
        u, z = self.in_proj(x), None
        if self.gate:
            u, z = u.chunk(2, dim=-1)
        return F.silu(self.conv2d(u.permute(0, 3, 1, 2))).permute(0, 2, 3, 1), z

    def _low(self, u: Tensor) -> Tensor:
        """What Δ, B and C come from, (k, b, l, r + 2n), for the paths' sequences (k, b, l, d)."""
        return torch.matmul(u, self.x_proj_weight[self._rows].mT[:, None])

    def _parameters_of_scans(self) -> PathParameters:
        stacked = (
            self.dt_projs_weight,
            self.dt_projs_bias,
            self.A_logs.unflatten(0, (N_PATHS, -1)),
            self.Ds.unflatten(0, (N_PATHS, -1)),
        )
        return PathParameters(*([parameter[row] for row in self._rows] for parameter in stacked))

    def _scan_arguments(self, u: Tensor) -> dict[str, Any]:
        """The arguments of `path_scan` for the paths' sequences (k, b, l, d)."""
        rows, inner = self._rows, u.shape[-1]
        step, B, C = self._low(u).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        return {
            "u": u,
            # Without its bias, which the scan adds once, before the softplus.
            "delta": torch.matmul(step, self.dt_projs_weight[rows].mT[:, None]),
            "A": -torch.exp(self.A_logs.float()).view(N_PATHS, inner, -1)[rows],
            "B": B,
            "C": C,
            "D": self.Ds.view(N_PATHS, inner)[rows],
            "delta_bias": self.dt_projs_bias[rows],
            "reverse": self._reverse,
        }
