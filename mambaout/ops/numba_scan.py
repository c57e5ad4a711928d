"""The fused CPU scan as a differentiable torch function; arguments as in `path_scan`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mambaout.ops.numba_kernels import CHUNK, backward_kernel, forward_kernel
from mambaout.ops.numba_threads import in_threads


def supports(u: Tensor) -> bool:
    """Whether the kernels, which compute in float32 on a CPU, can stand in for torch."""
    return (
        u.device.type == "cpu"
        and u.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and not torch.compiler.is_compiling()
    )


def scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    reverse: Sequence[bool],
    *,
    softplus: bool,
    z: Tensor | None = None,
) -> Tensor:
    """`path_scan` on the CPU; the result has the strides of ``u`` where these leave no gaps.

    ``softplus`` says whether ``delta`` still has to pass through one. The result is multiplied by
    SiLU of ``z`` (k, b, l, d), if there is one.
    """
    d = u.shape[-1]
    padding = -d % MULTIPLE
    if padding:
        u, delta, D, delta_bias = (F.pad(t, (0, padding)) for t in (u, delta, D, delta_bias))
        A = F.pad(A, (0, 0, 0, padding))
        z = z if z is None else F.pad(z, (0, padding))
    y: Tensor = _Scan.apply(u, delta, A, B, C, D, delta_bias, z, tuple(reverse), softplus)
    return y[..., :d] if padding else y


def states(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, reverse: Sequence[bool]) -> Tensor:
    """Every hidden state, (k, b, l, n, d) in memory order; ``delta`` is after the softplus.

    Not differentiable. Arguments as in `path_scan`.
    """
    d = u.shape[-1]
    padding = -d % MULTIPLE
    u, delta = (F.pad(t, (0, padding)) for t in (u, delta))
    A = F.pad(A, (0, 0, 0, padding))
    zero = u.new_zeros(u.shape[0], d + padding)
    inputs = _inputs(u, delta, A, B, B, zero, zero, None)
    _, kept = _forward(inputs, reverse, raw=False, every=1)
    return kept[..., :d]


MULTIPLE = 16  # narrower channel counts are padded: no kernel knows a narrower vector


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor,
        delta_bias: Tensor,
        z: Tensor | None,
        reverse: tuple[bool, ...],
        softplus: bool,
    ) -> Tensor:
        every = CHUNK if any(ctx.needs_input_grad) else 0
        inputs = _inputs(u, delta, A, B, C, D, delta_bias, z)
        out, kept = _forward(inputs, reverse, raw=softplus, every=every)
        if every:
            ctx.save_for_backward(u, delta, A, B, C, D, delta_bias, z, kept)
            ctx.reverse, ctx.softplus = reverse, softplus
        return out.to(u.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, D, delta_bias, z, kept = ctx.saved_tensors
        given = (u, delta, A, B, C, D, delta_bias)
        u, delta, *others, gate = _inputs(*given, z)
        k, b, length, d = u.shape
        n = others[0].shape[2]
        lanes, tile = lanes_and_tile(d, n)
        du, dstep = torch.empty_like(u), torch.empty_like(delta)
        dz = gate if z is None else torch.empty_like(gate)
        dA, dD = torch.empty(b, k, n, d), torch.empty(b, k, d)
        dB, dC = torch.empty(2, d // tile, k, b, length, n)
        needed = ctx.needs_input_grad
        in_threads(
            backward_kernel,
            lanes,
            k * b * (d // tile),
            tile,
            *(t.numpy() for t in (u, delta, *others)),
            np.array(ctx.reverse),
            ctx.softplus,
            gate.numpy(),
            z is not None,
            kept.numpy(),
            rows(dout).numpy(),
            *(t.numpy() for t in (du, dstep, dz, dA, dB, dC, dD)),
            needed[2],
        )
        # What nobody asked for is not summed.
        gradients = (
            du,
            dstep,
            dA.sum(0).mT if needed[2] else None,
            _sum_of_tiles(dB),
            _sum_of_tiles(dC),
            dD.sum(0) if needed[5] else None,
            dstep.sum((1, 2)) if needed[6] else None,
            dz if needed[7] else None,
        )
        typed = [
            gradient.to(t.dtype) if gradient is not None and t is not None else None
            for gradient, t in zip(gradients, (*given, z), strict=True)
        ]
        return (*typed, None, None)


def _sum_of_tiles(parts: Tensor) -> Tensor:
    return parts.sum(0) if len(parts) > 1 else parts[0]


def _inputs(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    z: Tensor | None,
) -> tuple[Tensor, ...]:
    """What the kernels are given, as they take it; in place of no gate, something to point at."""
    u = rows(u)
    scalars = map(single, (A, B, C))  # read one by one, at any stride
    gate = u if z is None else rows(z)
    return (u, rows(delta), *scalars, rows(D), rows(delta_bias), gate)


def _forward(
    inputs: tuple[Tensor, ...], reverse: Sequence[bool], *, raw: bool, every: int
) -> tuple[Tensor, Tensor]:
    """The result (k, b, l, d), and the states after every ``every`` tokens (k, b, …, n, d)."""
    *given, gate = inputs
    u, _, A, *_ = given
    k, b, length, d = u.shape
    lanes, tile = lanes_and_tile(d, A.shape[2])
    out = torch.empty_like(u)
    kept = torch.empty(k, b, length // every if every else 0, A.shape[2], d)
    in_threads(
        forward_kernel,
        lanes,
        k * b * (d // tile),
        tile,
        *(t.numpy() for t in given),
        np.array(reverse),
        raw,
        gate.numpy(),
        gate is not u,
        out.numpy(),
        kept.numpy(),
        every,
    )
    return out, kept


def lanes_and_tile(d: int, n: int) -> tuple[int, int]:
    """The vector for ``d`` channels, a multiple of 16, and how many channels share a pass.

    A vector is as wide as LLVM splits well; a tile as wide as leaves its states, ``n`` a channel,
    in the cache. Neither depends on the number of threads, so that sums do not either.
    """
    lanes = next(lanes for lanes in (64, 32, 16) if d % lanes == 0)
    most = max(1, _TILE_STATES // (n * lanes))
    count = d // lanes
    return lanes, lanes * max(tiles for tiles in range(1, most + 1) if count % tiles == 0)


_TILE_STATES = 1024  # 4 KiB


def rows(t: Tensor) -> Tensor:
    """In float32, the numbers of the last axis side by side, the other strides as they are."""
    t = single(t)
    return t if t.stride(-1) == 1 else t.contiguous()


def single(t: Tensor) -> Tensor:
    """In float32, without a graph."""
    return t.detach().float()
