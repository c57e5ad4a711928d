"""The steps of a layer around its scans, fused where no gradient is asked for.

Each function has a plain form in torch, differentiable and for any device, and one kernel that
takes its place on a CPU if `fusible` allows it. Axes as in `mambaout.ops.path_scan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mambaout.ops import numba_scan
from mambaout.ops.causal_conv import causal_conv1d
from mambaout.ops.numba_layer import PATHS, conv_kernel, merged_kernel, step_kernel
from mambaout.ops.numba_scan import MULTIPLE, rows
from mambaout.ops.numba_threads import in_threads


class PathParameters(NamedTuple):
    """What the scans of a layer are parametrised by: in each list an entry for each path."""

    to_step: list[Tensor]  # (d, rank), the projection to Δ
    step_bias: list[Tensor]  # (d,), added to Δ before the softplus
    log_rates: list[Tensor]  # (d, n), log(-A)
    skips: list[Tensor]  # (d,), D


def fusible(x: Tensor, parameters: Iterable[Tensor]) -> bool:
    """Whether kernels without a backward may compute on ``x`` (…, d) with these parameters.

    Not while somebody watches torch's operators, such as a counter of FLOPs: what the kernels do
    would be missing.
    """
    return (
        numba_scan.supports(x)
        and x.dtype is torch.float32
        and x.shape[-1] % MULTIPLE == 0
        and not torch._C._len_torch_dispatch_stack()  # noqa: SLF001
        and not _differentiated(x, parameters)
    )


def _differentiated(x: Tensor, parameters: Iterable[Tensor]) -> bool:
    if torch.autograd.forward_ad._current_level >= 0:  # noqa: SLF001 - no public way to ask
        return True
    return torch.is_grad_enabled() and (
        x.requires_grad or any(parameter.requires_grad for parameter in parameters)
    )


def path_conv(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], reverse: Sequence[bool]
) -> Tensor:
    """SiLU of each path's causal convolution.

    Args:
        x: tokens, (b, l, d).
        weights: for each path its taps, (d, 1, taps), as in `mambaout.ops.causal_conv1d`.
        biases: for each path, (d,).
        reverse: for each path, whether it starts at the last token.

    Returns:
        (k, b, l, d), in memory order.
    """
    if not fusible(x, (*weights, *biases)):
        convolved = [
            F.silu(causal_conv1d(x, weight, bias, reverse=back))
            for weight, bias, back in zip(weights, biases, reverse, strict=True)
        ]
        return torch.stack(convolved)
    out = x.new_empty(len(weights), *x.shape)
    lanes, tile = _shared(x.shape[-1], x.shape[0], _MOST_LANES, torch.get_num_threads())
    in_threads(
        conv_kernel,
        lanes,
        x.shape[0] * (x.shape[-1] // tile),
        tile,
        rows(x).numpy(),
        _each(weight[:, 0] for weight in weights),
        _each(biases),
        np.array(reverse),
        out.numpy(),
    )
    return out


def step_sizes(low: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """Each path's Δ after the softplus.

    Args:
        low: what Δ is projected from, (k, b, l, rank).
        weights: for each path, (d, rank).
        biases: for each path, (d,).

    Returns:
        (k, b, l, d), float32 or wider.
    """
    d = biases[0].shape[0]
    if d % MULTIPLE or not fusible(low.new_empty(MULTIPLE), (low, *weights, *biases)):
        wide = torch.promote_types(low.dtype, torch.float32)
        raw = [F.linear(one, weight) for one, weight in zip(low, weights, strict=True)]
        return F.softplus(torch.stack(raw).to(wide) + torch.stack(list(biases))[:, None, None])
    k, b, length, rank = low.shape
    out = low.new_empty(k, b, length, d)
    lanes, tile = _shared(d, b, max(16, _TILE // rank), torch.get_num_threads())
    in_threads(
        step_kernel,
        lanes,
        b * (d // tile),
        tile,
        low.detach().numpy(),
        _each(weights),
        _each(biases),
        out.numpy(),
    )
    return out


def merged_scan(
    u: Tensor,
    low: Tensor,
    parameters: PathParameters,
    orders: np.ndarray,
    *,
    z: Tensor | None = None,
    scale: float = 1.0,
) -> Tensor:
    """The scans of all paths of a layer, summed, scaled and gated; only where `fusible`.

    Args:
        u: input, (k, b, l, d), in memory order.
        low: what Δ is projected from, then B, then C: (k, b, l, rank + 2n).
        parameters: those of the ``k`` paths.
        orders: (k, l) int64, the position in memory that each path visits at each step.
        z: gate, (b, l, d), whose SiLU multiplies the sum.
        scale: a number that multiplies the sum.

    Returns:
        (b, l, d), in memory order.
    """
    b, length, d = u.shape[1:]
    out = u.new_empty(b, length, d)
    rows_of_tile = parameters.to_step[0].shape[1] + 2 * parameters.log_rates[0].shape[1]
    lanes, tile = _shared(d, b, max(16, _TILE // rows_of_tile), torch.get_num_threads())
    in_threads(
        merged_kernel,
        lanes,
        b * (d // tile),
        tile,
        rows(u).numpy(),
        low.detach().numpy(),
        *map(_each, parameters),
        orders,
        (out if z is None else rows(z)).numpy(),
        z is not None,
        np.float32(scale),
        out.numpy(),
    )
    return out


@lru_cache(maxsize=64)
def walks(reverse: Sequence[bool], length: int) -> np.ndarray:
    """The orders of `merged_scan` for paths through memory from its start or from its end."""
    forward = np.arange(length)
    return np.stack([forward[::-1] if back else forward for back in reverse])


def _each(tensors: Iterable[Tensor]) -> tuple[np.ndarray, ...]:
    """As a kernel takes what differs by path: a tuple of `PATHS`, the first ones repeated."""
    arrays = [rows(t).numpy() for t in tensors]
    return tuple((arrays * PATHS)[:PATHS])


_MOST_LANES = 64
_TILE = 4096  # numbers of each tile's own, 16 KiB: half a first-level cache
_SLOWER = {64: 1.0, 32: 1.08, 16: 1.2}  # measured: what narrower vectors cost per channel


@lru_cache(maxsize=256)
def _shared(d: int, pictures: int, most: int, threads: int) -> tuple[int, int]:
    """Vector and tile of channels for which the slowest thread is done first.

    No number depends on them: what a kernel here computes for a channel it computes from nothing
    of another channel's.
    """

    def cost(choice: tuple[int, int]) -> tuple[float, int]:
        lanes, tile = choice
        turns = -(-pictures * (d // tile) // threads)
        return turns * tile * _SLOWER[lanes], -tile

    choices = [
        (lanes, tile)
        for lanes in _SLOWER
        for tile in range(lanes, d + 1, lanes)
        if d % tile == 0 and (tile <= most or tile == lanes)
    ]
    return min(choices, key=cost)
