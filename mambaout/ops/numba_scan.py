"""The fused CPU scan as a differentiable torch function; arguments as in `path_scan`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mambaout.ops.numba_kernels import backward_kernel, forward_kernel
from mambaout.ops.numba_math import LOG2E


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
) -> Tensor:
    """`path_scan` on the CPU; ``softplus`` says whether ``delta`` still has to pass through one."""
    d = u.shape[-1]
    padding = -d % _MULTIPLE
    if padding:
        u, delta, A_t, D, delta_bias = (
            F.pad(t, (0, padding)) for t in (u, delta, A.mT, D, delta_bias)
        )
        A = A_t.mT
    y: Tensor = _Scan.apply(u, delta, A, B, C, D, delta_bias, tuple(reverse), softplus)
    return y[..., :d] if padding else y


def states(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, reverse: Sequence[bool]) -> Tensor:
    """Every hidden state, (k, b, l, n, d) in memory order; ``delta`` is after the softplus.

    Not differentiable. Arguments as in `path_scan`.
    """
    d = u.shape[-1]
    padding = -d % _MULTIPLE
    u, delta, A_t = (F.pad(t, (0, padding)) for t in (u, delta, A.mT))
    zero = u.new_zeros(u.shape[0], d + padding)
    arguments = _arrays(u, delta, A_t.mT, B, B, zero, zero)
    k, b, length, width = u.shape
    kept = torch.empty(k, b, length, A.shape[2], width)
    out = np.empty((k, b, length, width), np.float32)
    lanes = _lanes(width)
    jobs = k * b * (width // lanes)
    _share(
        forward_kernel(lanes), jobs, *arguments, np.array(reverse), False, out, kept.numpy(), True
    )
    return kept[..., :d]


_MULTIPLE = 16  # narrower channel counts are padded, so that few kernel widths exist
_NO_STATES = np.empty((1, 1, 1, 1, 1), np.float32)


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
        reverse: tuple[bool, ...],
        softplus: bool,
    ) -> Tensor:
        ctx.save_for_backward(u, delta, A, B, C, D, delta_bias)
        ctx.reverse, ctx.softplus = reverse, softplus
        k, b, length, d = u.shape
        out = torch.empty(k, b, length, d)
        lanes = _lanes(d)
        _share(
            forward_kernel(lanes),
            k * b * (d // lanes),
            *_arrays(u, delta, A, B, C, D, delta_bias),
            np.array(reverse),
            softplus,
            out.numpy(),
            _NO_STATES,
            False,
        )
        return out.to(u.dtype)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        u, delta, A, B, C, D, delta_bias = ctx.saved_tensors
        k, b, length, d = u.shape
        n = A.shape[2]
        lanes = _lanes(d)
        blocks = d // lanes
        du, dstep = torch.empty(2, k, b, length, d)
        dA, dD = torch.empty(b, k, n, d), torch.empty(b, k, d)
        dB, dC = torch.empty(2, blocks, k, b, length, n)
        _share(
            backward_kernel(lanes),
            k * b * blocks,
            *_arrays(u, delta, A, B, C, D, delta_bias),
            np.array(ctx.reverse),
            ctx.softplus,
            _array(dout),
            *(t.numpy() for t in (du, dstep, dA, dB, dC, dD)),
        )
        dbias = dstep.sum((1, 2))
        gradients = (du, dstep, dA.sum(0).mT, dB.sum(0), dC.sum(0), dD.sum(0), dbias)
        inputs = (u, delta, A, B, C, D, delta_bias)
        typed = [g.to(t.dtype) for g, t in zip(gradients, inputs, strict=True)]
        return (*typed, None, None)


def _lanes(d: int) -> int:
    """The widest block of channels that divides ``d``, itself a multiple of 16."""
    return next(lanes for lanes in (64, 96, 16) if d % lanes == 0)


def _array(t: Tensor) -> np.ndarray:
    return t.detach().float().contiguous().numpy()


def _arrays(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, delta_bias: Tensor
) -> tuple[np.ndarray, ...]:
    A2 = A.detach().float().mT * float(LOG2E)  # exp(x) = 2^(x log2 e)
    return tuple(_array(t) for t in (u, delta, A2, B, C, D, delta_bias))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="scan")


def _share(kernel: Any, jobs: int, *arguments: Any) -> None:
    """Run all jobs on as many threads as torch uses.

    Not numba's own threading layer: a second OpenMP pool would fight torch's.
    """
    threads = min(torch.get_num_threads(), jobs)
    bounds = [jobs * i // threads for i in range(threads + 1)]
    rest = [
        _pool(threads - 1).submit(kernel, bounds[i], bounds[i + 1], *arguments)
        for i in range(1, threads)
    ]
    kernel(0, bounds[1], *arguments)
    for future in rest:
        future.result()
