"""Scans of the shapes that vision models have, with inputs distributed as in trained ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class ScanCase:
    """One call of a scan. ``groups`` are the paths of a layer, folded into the channels."""

    name: str
    batch: int
    groups: int
    channels: int  # of all groups together
    states: int
    tokens: int
    gated: bool  # multiplied by SiLU(z), as in Vim and not in VMamba

    @property
    def exponentials(self) -> int:
        """exp(ΔA) to compute: one for each number of each state."""
        return self.batch * self.channels * self.states * self.tokens


CASES = {
    case.name: case
    for case in (
        # Vim, one direction of a layer: (side / 16)² patches and a class token
        ScanCase("vim_t_224_b1", 1, 1, 384, 16, 197, gated=True),
        ScanCase("vim_t_224_b8", 8, 1, 384, 16, 197, gated=True),
        ScanCase("vim_t_512_b1", 1, 1, 384, 16, 1025, gated=True),
        ScanCase("vim_t_512_b8", 8, 1, 384, 16, 1025, gated=True),
        ScanCase("vim_t_896_b1", 1, 1, 384, 16, 3137, gated=True),
        ScanCase("vim_t_1344_b1", 1, 1, 384, 16, 7057, gated=True),
        ScanCase("vim_s_224_b1", 1, 1, 768, 16, 197, gated=True),
        # both directions in one call
        ScanCase("vim_t_224_b1_bidi", 1, 2, 768, 16, 197, gated=True),
        # VMamba-T s1l8, stages 1 to 4 at 224
        ScanCase("vmamba_t_s1", 1, 4, 4 * 96, 1, 3136, gated=False),
        ScanCase("vmamba_t_s2", 1, 4, 4 * 192, 1, 784, gated=False),
        ScanCase("vmamba_t_s3", 1, 4, 4 * 384, 1, 196, gated=False),
        ScanCase("vmamba_t_s4", 1, 4, 4 * 768, 1, 49, gated=False),
        ScanCase("vmamba_t_s1_b8", 8, 4, 4 * 96, 1, 3136, gated=False),
        # VMamba-T s2l5, stage 1, and the first version's stages 1 and 3
        ScanCase("vmamba_t2_s1", 1, 4, 4 * 192, 1, 3136, gated=False),
        ScanCase("vmamba0_t_s1", 1, 4, 4 * 192, 16, 3136, gated=False),
        ScanCase("vmamba0_t_s3", 1, 4, 4 * 768, 16, 196, gated=False),
    )
}
QUICK_CASES = ("vim_t_224_b1", "vim_t_512_b1", "vim_t_224_b8", "vmamba_t_s1", "vmamba_t_s3")

# Small enough for gradients in float64; sizes that divide nothing, and a state of one number.
CHECKED_CASES = (
    ScanCase("even", 2, 2, 128, 16, 75, gated=True),
    ScanCase("odd", 2, 2, 24, 5, 23, gated=True),
    ScanCase("one number", 2, 4, 256, 1, 50, gated=False),
)


def scan_arguments(case: ScanCase, seed: int = 0) -> dict[str, Any]:
    """Arguments of `mambaout.ops.selective_scan`, without a graph.

    u, delta and z are (b, d, l) views of (b, l, d) memory, as a linear layer leaves them. A is near
    the -1 … -n of its initial value but differs by channel, as in trained models, so that nothing
    that needs exact powers passes. softplus(delta + bias) is mostly between 0.001 and 0.1.
    """
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    def sequence() -> Tensor:
        return normal(case.batch, case.tokens, case.channels).mT

    step = 10 ** (torch.rand(case.channels, generator=random) * 2 - 3)
    numbers = torch.arange(1, case.states + 1).float()
    shared = (case.batch, case.groups, case.states, case.tokens)
    return {
        "u": F.silu(sequence()),
        "delta": sequence(),
        "A": -numbers * torch.exp(0.3 * normal(case.channels, case.states)),
        "B": normal(*shared),
        "C": normal(*shared),
        "D": normal(case.channels),
        "z": sequence() if case.gated else None,
        "delta_bias": step + torch.log(-torch.expm1(-step)),  # softplus of this is `step`
        "delta_softplus": True,
    }


def path_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """The same scan for `mambaout.ops.path_scan`: a path for each group, tokens before channels."""
    groups = arguments["B"].shape[1]

    def tokens_first(t: Tensor) -> Tensor:  # (b, d, l) -> (k, b, l, d/k)
        batch, channels, tokens = t.shape
        paths = t.reshape(batch, groups, channels // groups, tokens)
        return paths.permute(1, 0, 3, 2).contiguous()

    return {
        **{name: tokens_first(arguments[name]) for name in ("u", "delta")},
        **{name: arguments[name].permute(1, 0, 3, 2).contiguous() for name in ("B", "C")},
        **{
            name: arguments[name].unflatten(0, (groups, -1)).contiguous()
            for name in ("A", "D", "delta_bias")
        },
        "z": None if arguments["z"] is None else tokens_first(arguments["z"]),
        "reverse": (False,) * groups,
    }


def channels_first(y: Tensor) -> Tensor:
    """What `path_scan` returns as `selective_scan` does: (k, b, l, d/k) → (b, d, l)."""
    return y.permute(1, 0, 3, 2).flatten(1, 2)


def growing_case(side: int) -> ScanCase:
    """The scan of Vim-Tiny on one picture of ``side`` x ``side`` pixels."""
    return ScanCase(f"vim_t_{side}_b1", 1, 1, 384, 16, math.floor(side / 16) ** 2 + 1, gated=True)
