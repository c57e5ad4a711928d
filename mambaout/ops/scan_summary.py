"""What one scan does at each token, in a few numbers, without keeping its states."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaout.ops import numba_scan, triton_scan
from mambaout.ops.numba_scan import MULTIPLE, lanes_and_tile, rows, single
from mambaout.ops.numba_summary import summary_kernel
from mambaout.ops.numba_threads import in_threads
from mambaout.ops.plain_scan import scan_states
from mambaout.ops.scan_inputs import ScanInputs


class ScanSummary(NamedTuple):
    """One number per token of each picture, (b, l), in scan order; float32 or wider."""

    delta: Tensor  # mean over d of Δ_t
    retention: Tensor  # mean over (d, n) of exp(Δ_t A)
    half_life: Tensor  # ln 2 / mean over (d, n) of Δ_t |A|
    state_norm: Tensor  # ‖h_t‖₂ over (d, n)
    write: Tensor  # ‖Δ_t B_t u_t‖₂ over (d, n)
    read: Tensor  # ‖C_t h_t‖₂ over d


def scan_summary(inputs: ScanInputs) -> ScanSummary:
    """Run one scan path and reduce every state to a few numbers as soon as it is there.

    On a CPU and on a CUDA device the states, (b, d, l, n) in all, never exist together; elsewhere
    and in float64 they do. Not differentiable.
    """
    if numba_scan.supports(inputs.u):
        return _fused_summary(inputs)
    if triton_scan.supports(inputs.u):
        return _gpu_summary(inputs)
    return plain_scan_summary(inputs)


def plain_scan_summary(inputs: ScanInputs) -> ScanSummary:
    """`scan_summary` written to be read."""
    states = scan_states(inputs.u, inputs.delta, inputs.A, inputs.B)
    delta, A, C = (t.to(states) for t in (inputs.delta, inputs.A, inputs.C))
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))  # eq. 4
    from_state = torch.einsum("bdln,bnl->bdl", states, C)  # eq. 2b without its skip
    return ScanSummary(
        **_of_steps(inputs),
        retention=decay.mean((1, 3)),
        state_norm=torch.linalg.vector_norm(states, dim=(1, 3)),
        read=torch.linalg.vector_norm(from_state, dim=1),
    )


def _of_steps(inputs: ScanInputs) -> dict[str, Tensor]:
    """What of the summary needs no state."""
    dtype = torch.promote_types(inputs.u.dtype, torch.float32)
    u, delta, A, B = (t.to(dtype) for t in (inputs.u, inputs.delta, inputs.A, inputs.B))
    return {
        "delta": delta.mean(1),
        "half_life": math.log(2) / (delta * A.mean(1)[:, None]).mean(1).abs(),
        # Δ_t B_t u_t is an outer product: its norm is the product of two norms.
        "write": (delta * u).norm(dim=1) * B.norm(dim=1),
    }


def _fused_summary(inputs: ScanInputs) -> ScanSummary:
    u, delta, B, C = (t.mT for t in (inputs.u, inputs.delta, inputs.B, inputs.C))
    A = inputs.A
    batch, length, d = u.shape
    padding = -d % MULTIPLE
    if padding:
        u, delta = F.pad(u, (0, padding)), F.pad(delta, (0, padding))
        A = F.pad(A, (0, 0, 0, padding))
    lanes, tile = lanes_and_tile(d + padding, A.shape[1])
    tiles = (d + padding) // tile
    sums = torch.empty(tiles, 6, batch, length)
    in_threads(
        summary_kernel,
        lanes,
        batch * tiles,
        tile,
        *(rows(t).numpy() for t in (u, delta)),
        *(single(t).numpy() for t in (A, B, C)),
        sums.numpy(),
    )
    decays, squares, reads, steps, exponents, written = sums.sum(0)
    width, numbers = inputs.A.shape[0], inputs.A.numel()
    return ScanSummary(
        delta=steps / width,
        # A channel that was filled up with makes no step: it keeps all of its nothing.
        retention=(decays - padding * A.shape[1]) / numbers,
        half_life=math.log(2) * numbers / exponents.abs(),
        state_norm=squares.sqrt(),
        write=written.sqrt() * single(inputs.B).norm(dim=1),
        read=reads.sqrt(),
    )


def _gpu_summary(inputs: ScanInputs) -> ScanSummary:
    u, delta, B, C = (t.mT[None] for t in (inputs.u, inputs.delta, inputs.B, inputs.C))
    decays, squares, read_squares = triton_scan.summary(
        u, delta, inputs.A[None], B, C, (False,)
    ).squeeze(1)
    return ScanSummary(
        **_of_steps(inputs),
        retention=decays / inputs.A.numel(),
        state_norm=squares.sqrt(),
        read=read_squares.sqrt(),
    )
