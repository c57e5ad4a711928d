"""Launches the GPU kernels: tensors in, tensors out, nothing recorded for autograd.

Arguments as in `mambaout.ops.path_scan`; ``softplus`` says whether ``delta`` still has to pass
through one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
import triton
from torch import Tensor

from mambaout.ops import triton_gradients, triton_kernels
from mambaout.ops.numba_math import LOG2E

LANES = 32  # channels of a program: one for each thread of a warp
LEAST_TOKENS = 16  # of a segment
SHORT = 32  # tokens of a segment whose states the backward keeps all at once
WARPS_PER_PROCESSOR = 8  # two for each of the four schedulers that a multiprocessor has
LEAST_SEGMENTS = 4  # fewer do not pay for scanning twice


def forward(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    reverse: Sequence[bool],
    softplus: bool,
) -> Tensor:
    """y, (k, b, l, d), in the dtype of ``u``."""
    call = _Call.of(u, delta, A, B, C, delta_bias, reverse, softplus)
    out = torch.empty(u.shape, dtype=u.dtype, device=u.device)
    call.scan(_single(D), out, out, states=False)
    return out


def states(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, reverse: Sequence[bool]) -> Tensor:
    """Every hidden state, (k, b, l, n, d), in memory order; ``delta`` is final."""
    zero = A.new_zeros(A.shape[:2], dtype=torch.float32)
    call = _Call.of(u, delta, A, B, B, zero, reverse, softplus=False)
    k, b, length, d = u.shape
    kept = torch.empty(k, b, length, A.shape[2], d, device=u.device)
    call.scan(zero, kept, kept, states=True)
    return kept


def summary(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, reverse: Sequence[bool]
) -> Tensor:
    """Σ exp(Δ_t A), ‖h_t‖² and ‖C_t h_t‖² of every token, (3, k, b, l); ``delta`` is final."""
    zero = A.new_zeros(A.shape[:2], dtype=torch.float32)
    call = _Call.of(u, delta, A, B, C, zero, reverse, softplus=False)
    k, b, length, _ = u.shape
    partial = torch.empty(3, call.blocks, k, b, length, device=u.device)
    call.summarise(partial)
    return partial.sum(1)


def gradients(
    dout: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    reverse: Sequence[bool],
    softplus: bool,
    weights: bool,
) -> tuple[Tensor, ...]:
    """Of u, delta, B, C, and with ``weights`` of A, D, delta_bias: each like what it is of."""
    call = _Call.of(u, delta, A, B, C, delta_bias, reverse, softplus)
    k, b, length, d = u.shape
    n = A.shape[2]
    dout = _rows(dout)
    segments, tokens = call.cut()
    starts, behind = call.borders(segments, tokens, dout) if segments > 1 else (call.A2, call.A2)
    # As many notes as tokens between them take the least memory; few tokens need no second pass.
    chunk = tokens if tokens <= SHORT else math.isqrt(tokens - 1) + 1
    programs = k * b * segments * call.blocks

    def single(*shape: int) -> Tensor:
        return torch.empty(shape, device=u.device)

    strips = single(programs, triton.cdiv(tokens, chunk) + chunk, n, LANES)
    du, ddelta = (torch.empty(u.shape, dtype=t.dtype, device=u.device) for t in (u, delta))
    dB, dC = single(call.blocks, k, b, length, n), single(call.blocks, k, b, length, n)
    dA, dD, dbias = (
        single(k, b, segments, *rest) if weights else strips for rest in ((n, d), (d,), (d,))
    )
    with call.device:
        triton_gradients.gradients[(programs,)](
            call.u, call.delta, call.A2, call.B, call.C, _single(D), call.bias, dout,
            starts, behind, strips, du, ddelta, dA, dB, dC, dD, dbias,
            *call.strides, dout.stride()[:3],
            b, length, segments, tokens, chunk, call.blocks, d, call.reverse,
            N=n, PADDED=triton.next_power_of_2(n), LANES=LANES,
            SOFTPLUS=softplus, BORDERS=segments > 1, WEIGHTS=weights, num_warps=1,
        )  # fmt: skip
    found = (du, ddelta, dB.sum(0).to(B.dtype), dC.sum(0).to(C.dtype))
    if not weights:
        return found
    return (
        *found,
        dA.sum((1, 2)).mT.to(A.dtype),
        dD.sum((1, 2)).to(D.dtype),
        dbias.sum((1, 2)).to(delta_bias.dtype),
    )


def segments_of(programs: int, length: int, processors: int) -> int:
    """Into how many segments to cut the tokens of a forward scan.

    Cutting costs each exponential twice, so it is done only where ``programs`` (one warp for 32
    channels of a path of a picture) leave most schedulers of the device idle, and then into as many
    segments as give each multiprocessor `WARPS_PER_PROCESSOR`, of `LEAST_TOKENS` or more.
    """
    wanted = min(WARPS_PER_PROCESSOR * processors // programs, length // LEAST_TOKENS)
    return wanted if wanted >= LEAST_SEGMENTS else 1


@dataclass(frozen=True)
class _Call:
    """What all kernels of one call are given."""

    u: Tensor
    delta: Tensor
    A2: Tensor
    B: Tensor
    C: Tensor
    bias: Tensor
    reverse: int  # bit k: path k runs backward
    softplus: bool

    @classmethod
    def of(
        cls,
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        delta_bias: Tensor,
        reverse: Sequence[bool],
        softplus: bool,
    ) -> _Call:
        if any(reverse[31:]):
            raise ValueError(f"only the first 31 paths may run backward, got {len(reverse)} paths")
        k, d, n = A.shape
        A2 = torch.empty(k, n, d, device=A.device)
        torch.mul(_single(A).mT, float(LOG2E), out=A2)
        flags = sum(1 << i for i, backward in enumerate(reverse) if backward)
        return cls(
            u=_rows(u),
            delta=_rows(delta),
            A2=A2,
            B=_rows(B),
            C=_rows(C),
            bias=_single(delta_bias),
            reverse=flags,
            softplus=softplus,
        )

    @property
    def blocks(self) -> int:
        return int(triton.cdiv(self.u.shape[3], LANES))

    @property
    def device(self) -> AbstractContextManager[Any]:
        """Triton launches on the current device, which need not be that of the tensors."""
        return torch.cuda.device(self.u.device) if self.u.is_cuda else nullcontext()

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        return tuple(t.stride()[:3] for t in (self.u, self.delta, self.B, self.C))

    def borders(self, segments: int, tokens: int, dout: Tensor | None) -> tuple[Tensor, Tensor]:
        """The states before each segment, and the gradients behind it where ``dout`` is given."""
        k, b, length, d = self.u.shape
        n = self.A2.shape[1]
        ends = torch.empty(k, b, segments, n, d, device=self.u.device)
        behind = ends if dout is None else torch.empty_like(ends)
        sums = torch.empty(k, b, segments, d, device=self.u.device)
        adjoint = dout is not None
        dout = self.u if dout is None else dout
        with self.device:
            triton_kernels.segment_ends[(k * b * segments * self.blocks,)](
                self.u, self.delta, self.A2, self.B, self.C, self.bias, dout, ends, behind, sums,
                *self.strides, dout.stride()[:3],
                b, length, segments, tokens, self.blocks, d, self.reverse,
                N=n, PADDED=triton.next_power_of_2(n), LANES=LANES,
                SOFTPLUS=self.softplus, ADJOINT=adjoint, num_warps=1,
            )  # fmt: skip
            triton_kernels.carry[(k * b * n * self.blocks, 2 if adjoint else 1)](
                ends, behind, sums, self.A2, b, segments, self.blocks, d,
                N=n, LANES=LANES, num_warps=1,
            )  # fmt: skip
        return ends, behind

    def scan(self, D: Tensor, out: Tensor, kept: Tensor, *, states: bool) -> None:
        """Fill ``out``, or ``kept`` with the states."""
        k, b, length, d = self.u.shape
        n = self.A2.shape[1]
        segments, tokens = self.cut()
        starts = self.starts(segments, tokens)
        with self.device:
            triton_kernels.scan[(k * b * segments * self.blocks,)](
                self.u, self.delta, self.A2, self.B, self.C, D, self.bias, starts, out, kept,
                *self.strides, b, length, segments, tokens, self.blocks, d, self.reverse,
                N=n, PADDED=triton.next_power_of_2(n), LANES=LANES,
                SOFTPLUS=self.softplus, STARTS=segments > 1, STATES=states, num_warps=1,
            )  # fmt: skip

    def summarise(self, partial: Tensor) -> None:
        k, b, length, d = self.u.shape
        n = self.A2.shape[1]
        segments, tokens = self.cut()
        starts = self.starts(segments, tokens)
        with self.device:
            triton_kernels.summarise[(k * b * segments * self.blocks,)](
                self.u, self.delta, self.A2, self.B, self.C, starts, partial,
                *self.strides, b, length, segments, tokens, self.blocks, d, self.reverse,
                N=n, PADDED=triton.next_power_of_2(n), LANES=LANES, STARTS=segments > 1,
                num_warps=1,
            )  # fmt: skip

    def cut(self) -> tuple[int, int]:
        """Segments, and tokens in each but the last, which may have fewer."""
        k, b, length, _ = self.u.shape
        wanted = segments_of(k * b * self.blocks, length, processors(self.u.device))
        tokens = -(-length // wanted)
        return -(-length // tokens), tokens

    def starts(self, segments: int, tokens: int) -> Tensor:
        """The states before the segments; a single one starts from zero and has none."""
        return self.borders(segments, tokens, None)[0] if segments > 1 else self.A2


def _single(t: Tensor) -> Tensor:
    return t.float().contiguous()


def _rows(t: Tensor) -> Tensor:
    """With channels, or the numbers of a state, side by side in memory."""
    return t if t.stride(-1) == 1 or t.shape[-1] == 1 else t.contiguous()


@cache
def processors(device: torch.device) -> int:
    """Multiprocessors of a GPU; 1 where the kernels are interpreted."""
    if device.type != "cuda":
        return 1
    return torch.cuda.get_device_properties(device).multi_processor_count
