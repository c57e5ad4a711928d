"""Vim's token mixer: a selective scan from either end of the token sequence."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambaout.models.initial import log_rates, step_projection
from mambaout.models.mixing import Mixing, set_mixing
from mambaout.models.scan_paths import choosable_paths, set_paths
from mambaout.ops import ScanInputs, causal_conv1d, path_scan

_PATHS: dict[Mixing, tuple[str, ...]] = {
    "bidirectional": ("forward", "backward"),
    "causal": ("forward",),
}


class VimMixer(nn.Module):
    """One projection in, a scan from either end, their mean gated, one projection out.

    Arxiv:2401.09417, algorithm 1 ("bimamba v2" in the authors' code). In "causal" mixing
    the forward scan is alone and is not halved: what is left is divided by the number of its paths.
    ``paths`` may be set to either scan or both, and the same holds.

    Args:
        dim: width of the tokens, D.
        d_state: state size of each channel, N.
        d_conv: taps of the short convolution before each scan.
        expand: the scans run in ``expand * dim`` channels.
        mixing: which scans run.
    """

    def __init__(
        self,
        dim: int,
        d_state: int = 16,
        d_conv: int = 4,
        expand: int = 2,
        mixing: Mixing = "bidirectional",
    ) -> None:
        super().__init__()
        inner = expand * dim
        self.d_state = d_state
        self.dt_rank = math.ceil(dim / 16)
        self.set_mixing(mixing)
        self.in_proj = nn.Linear(dim, 2 * inner, bias=False)
        for suffix in ("", "_b"):
            self.add_module(
                f"conv1d{suffix}",
                nn.Conv1d(inner, inner, d_conv, groups=inner, padding=d_conv - 1),
            )
            self.add_module(
                f"x_proj{suffix}", nn.Linear(inner, self.dt_rank + 2 * d_state, bias=False)
            )
            self.add_module(f"dt_proj{suffix}", step_projection(self.dt_rank, inner))
        self.A_log, self.A_b_log = log_rates(inner, d_state), log_rates(inner, d_state)
        self.D, self.D_b = nn.Parameter(torch.ones(inner)), nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, dim, bias=False)

    def set_mixing(self, mixing: Mixing) -> None:
        self.mixing = mixing
        self.paths = _PATHS[mixing]  # those that run, in the order of the path axis

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (b, l, dim) in raster order → (b, l, dim)."""
        z, arguments = self._project(x)
        y = path_scan(**arguments).mean(0)
        return self.out_proj(y * F.silu(z))  # type: ignore[no-any-return]

    def scan_inputs(self, x: Tensor) -> list[ScanInputs]:
        """What each path's scan is given for tokens ``x`` (b, l, dim); see `ScanInputs`."""
        z, scan = self._project(x)
        delta = F.softplus(scan["delta"].float() + scan["delta_bias"][:, None, None].float())
        inputs = []
        for k, path in enumerate(self.paths):
            order = torch.arange(x.shape[1], device=x.device)
            if scan["reverse"][k]:
                order = order.flip(0)

            def along_path(t: Tensor, order: Tensor = order) -> Tensor:  # (b, l, c) -> (b, c, l)
                return t[:, order].mT

            inputs.append(
                ScanInputs(
                    path=path,
                    order=order,
                    u=along_path(scan["u"][k]),
                    delta=along_path(delta[k]),
                    A=scan["A"][k],
                    B=along_path(scan["B"][k]),
                    C=along_path(scan["C"][k]),
                    D=scan["D"][k],
                    z=along_path(z),
                )
            )
        return inputs

    def _project(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """The gate (b, l, d) and the arguments of `path_scan`, paths stacked on the first axis.

        Nothing is flipped: the backward path convolves and scans towards smaller indices.
        """
        inner, gate = self.in_proj(x).chunk(2, dim=-1)
        suffixes = ["_b" if path == "backward" else "" for path in self.paths]
        reverse = tuple(suffix == "_b" for suffix in suffixes)
        u = torch.stack(
            [
                F.silu(causal_conv1d(inner, conv.weight, conv.bias, reverse=back))
                for conv, back in zip(self._each("conv1d", suffixes), reverse, strict=True)
            ]
        )
        x_weight = torch.stack([proj.weight.mT for proj in self._each("x_proj", suffixes)])
        projected = torch.matmul(u, x_weight[:, None])
        step, B, C = projected.split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        step_projections = self._each("dt_proj", suffixes)
        step_weight = torch.stack([proj.weight.mT for proj in step_projections])
        rates: list[Tensor] = [self.A_b_log if back else self.A_log for back in reverse]
        return gate, {
            "u": u,
            # Without its bias, which the scan adds once, before the softplus.
            "delta": torch.matmul(step, step_weight[:, None]),
            "A": -torch.exp(torch.stack(rates).float()),
            "B": B,
            "C": C,
            "D": torch.stack([self.D_b if back else self.D for back in reverse]),
            "delta_bias": torch.stack([proj.bias for proj in step_projections]),
            "reverse": reverse,
        }

    def _each(self, name: str, suffixes: list[str]) -> list[Any]:
        return [getattr(self, name + suffix) for suffix in suffixes]

    def extra_repr(self) -> str:
        return f"paths={self.paths}, mixing={self.mixing!r}"


@set_mixing.register
def _(mixer: VimMixer, mixing: Mixing) -> bool:
    mixer.set_mixing(mixing)
    return True


@choosable_paths.register
def _(mixer: VimMixer) -> tuple[str, ...]:
    return _PATHS[mixer.mixing]


@set_paths.register
def _(mixer: VimMixer, paths: tuple[str, ...]) -> None:
    mixer.paths = paths
