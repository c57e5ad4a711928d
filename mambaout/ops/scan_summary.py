"""What one scan does at each token, in three numbers, without keeping its states."""

from __future__ import annotations

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

    retention: Tensor  # mean over (d, n) of exp(Δ_t A)
    state_norm: Tensor  # ‖h_t‖₂ over (d, n)
    read: Tensor  # ‖C_t h_t‖₂ over d


def scan_summary(inputs: ScanInputs) -> ScanSummary:
    """Run one scan path and reduce every state to three numbers as soon as it is there.

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
        retention=decay.mean((1, 3)),
        state_norm=torch.linalg.vector_norm(states, dim=(1, 3)),
        read=torch.linalg.vector_norm(from_state, dim=1),
    )


def _fused_summary(inputs: ScanInputs) -> ScanSummary:
    u, delta, B, C = (t.mT for t in (inputs.u, inputs.delta, inputs.B, inputs.C))
    A = inputs.A
    batch, length, d = u.shape
    padding = -d % MULTIPLE
    if padding:
        # A channel that keeps nothing and is given nothing adds nothing to the sums.
        u, delta = F.pad(u, (0, padding)), F.pad(delta, (0, padding), value=1)
        A = F.pad(A, (0, 0, 0, padding), value=-1e3)
    lanes, tile = lanes_and_tile(d + padding, A.shape[1])
    tiles = (d + padding) // tile
    sums = torch.empty(tiles, 3, batch, length)
    in_threads(
        summary_kernel(lanes),
        batch * tiles,
        tile,
        *(rows(t).numpy() for t in (u, delta)),
        *(single(t).numpy() for t in (A, B, C)),
        sums.numpy(),
    )
    decays, squares, reads = sums.sum(0)
    return ScanSummary(decays / inputs.A.numel(), squares.sqrt(), reads.sqrt())


def _gpu_summary(inputs: ScanInputs) -> ScanSummary:
    u, delta, B, C = (t.mT[None] for t in (inputs.u, inputs.delta, inputs.B, inputs.C))
    decays, squares, read_squares = triton_scan.summary(
        u, delta, inputs.A[None], B, C, (False,)
    ).squeeze(1)
    return ScanSummary(decays / inputs.A.numel(), squares.sqrt(), read_squares.sqrt())
