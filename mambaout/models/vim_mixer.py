"""Vim's token mixer: a selective scan from either end of the token sequence."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambaout.catalogue.mixing import Mixing
from mambaout.models.initial import log_rates, step_projection
from mambaout.models.mixing import set_mixing
from mambaout.models.scan_paths import choosable_paths, set_paths
from mambaout.models.scan_projection import ScanProjection
from mambaout.ops import ScanInputs, path_scan
from mambaout.ops.layer_scan import (
    PathParameters,
    fusible,
    merged_scan,
    path_conv,
    step_sizes,
    walks,
)

_PATHS: dict[Mixing, tuple[str, ...]] = {
    "bidirectional": ("forward", "backward"),
    "causal": ("forward",),
}


class VimMixer(ScanProjection):
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
        u, low, z = self._projected_to_scan(x)
        if fusible(u, self.parameters()):
            y = merged_scan(
                u,
                low,
                self._parameters_of_scans(),
                walks(self._reverse, x.shape[1]),
                z=z,
                scale=1 / len(self.paths),
            )
        else:
            y = path_scan(**self._scan_arguments(u, low)).mean(0) * F.silu(z)
        return self.out_proj(y)  # type: ignore[no-any-return]

    def scan_inputs(self, x: Tensor) -> list[ScanInputs]:
        """What each path's scan is given for tokens ``x`` (b, l, dim); see `ScanInputs`."""
        u, low, z = self._projected_to_look_at(x)
        steps, B, C = low.split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        weights, biases, log_rates, skips = self._parameters_of_scans()
        delta = step_sizes(steps, weights, biases)
        inputs = []
        for k, path in enumerate(self.paths):
            back = self._reverse[k]
            order = torch.arange(x.shape[1], device=x.device)

            def along_path(t: Tensor, back: bool = back) -> Tensor:  # (b, l, c) -> (b, c, l)
                return (t.flip(1) if back else t).mT

            inputs.append(
                ScanInputs(
                    path=path,
                    order=order.flip(0) if back else order,
                    u=along_path(u[k]),
                    delta=along_path(delta[k]),
                    A=-torch.exp(log_rates[k].float()),
                    B=along_path(B[k]),
                    C=along_path(C[k]),
                    D=skips[k],
                    z=along_path(z),
                )
            )
        return inputs

    @property
    def _suffixes(self) -> list[str]:
        return ["_b" if path == "backward" else "" for path in self.paths]

    @property
    def _reverse(self) -> tuple[bool, ...]:
        return tuple(path == "backward" for path in self.paths)

    def _project(self, x: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
        """What is scanned (k, b, l, d), what Δ, B and C come from (k, b, l, r + 2n), the gate.

        Nothing is flipped: the backward path convolves and scans towards smaller indices.
        """
        inner, gate = self.in_proj(x).chunk(2, dim=-1)
        convs = self._each("conv1d")
        weights, biases = [conv.weight for conv in convs], [conv.bias for conv in convs]
        u = path_conv(inner, weights, biases, self._reverse)
        projections = zip(u, self._each("x_proj"), strict=True)
        return u, torch.stack([F.linear(path, proj.weight) for path, proj in projections]), gate

    def _parameters_of_scans(self) -> PathParameters:
        steps = self._each("dt_proj")
        rates: list[Tensor] = [self.A_b_log if back else self.A_log for back in self._reverse]
        skips: list[Tensor] = [self.D_b if back else self.D for back in self._reverse]
        weights, biases = [step.weight for step in steps], [step.bias for step in steps]
        return PathParameters(weights, biases, rates, skips)

    def _scan_arguments(self, u: Tensor, low: Tensor) -> dict[str, Any]:
        """The arguments of `path_scan`."""
        steps, B, C = low.split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        weights, biases, rates, skips = self._parameters_of_scans()
        raw = [F.linear(step, weight) for step, weight in zip(steps, weights, strict=True)]
        return {
            "u": u,
            # Without its bias, which the scan adds once, before the softplus.
            "delta": torch.stack(raw),
            "A": -torch.exp(torch.stack(rates).float()),
            "B": B,
            "C": C,
            "D": torch.stack(skips),
            "delta_bias": torch.stack(biases),
            "reverse": self._reverse,
        }

    def _each(self, name: str) -> list[Any]:
        return [getattr(self, name + suffix) for suffix in self._suffixes]

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
