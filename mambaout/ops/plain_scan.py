"""The selective scan (S6), the recurrence at the heart of Mamba, written to be read.

Every other form in this package is tested against this one. Axes are lower case, state space
parameters upper case, as in the einsum strings below: b batch, d channels, l tokens in scan order,
n state size, g groups of channels that share B and C.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaout.ops.shapes import check_scan_shapes, per_channel


def plain_selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """Run the selective state space model along the last axis of ``u``, token by token.

    Arguments, result and errors as in `mambaout.ops.selective_scan`, which gives the same numbers
    faster.
    """
    check_scan_shapes(u, delta, A, B, C, D, z, delta_bias)
    step = step_size(delta, delta_bias, delta_softplus)
    states = scan_states(u, step, A, B)
    C = per_channel(C, u).to(states)
    y = torch.einsum("bdln,bdnl->bdl", states, C)  # eq. 2b
    if D is not None:
        y = y + D.to(states)[:, None] * u.to(states)
    if z is not None:
        y = y * F.silu(z.to(states))
    return y.to(u.dtype)


def scan_states(u: Tensor, delta: Tensor, A: Tensor, B: Tensor) -> Tensor:
    """Every hidden state h_t of the scan, as `mambaout.ops.scan_states`."""
    check_scan_shapes(u, delta, A, B)
    dtype = torch.promote_types(u.dtype, torch.float32)
    B = per_channel(B, u).to(dtype)
    u, delta, A = (t.to(dtype) for t in (u, delta, A))
    decay = torch.exp(torch.einsum("bdl,dn->bdln", delta, A))  # eq. 4
    drive = torch.einsum("bdl,bdnl,bdl->bdln", delta, B, u)

    h = torch.zeros_like(drive[:, :, 0])
    states = []
    for decay_t, drive_t in zip(decay.unbind(2), drive.unbind(2), strict=True):
        h = decay_t * h + drive_t  # eq. 2a
        states.append(h)
    return torch.stack(states, dim=2)


def step_size(delta: Tensor, delta_bias: Tensor | None, delta_softplus: bool) -> Tensor:
    """The positive step Δ from its raw projection, (b, d, l), float32 or wider."""
    delta = delta.to(torch.promote_types(delta.dtype, torch.float32))
    if delta_bias is not None:
        delta = delta + delta_bias.to(delta)[:, None]
    return F.softplus(delta) if delta_softplus else delta
