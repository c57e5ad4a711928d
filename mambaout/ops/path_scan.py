"""All scan paths of a layer in one call, tokens before channels: what the model families use.

Axes: k paths, b batch, l tokens in raster (memory) order, d channels, n state size. A path runs
through the tokens in memory order or, where ``reverse`` says so, against it, so that a
bidirectional layer needs no flipped copies. The token axis is second to last because that is how
a linear layer leaves its output, and because channels are the vector lanes of the CPU form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaout.ops import numba_scan, triton_scan


def path_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    reverse: Sequence[bool],
) -> Tensor:
    """Selective scans of ``k`` paths, each with parameters of its own.

    Args:
        u: input, (k, b, l, d).
        delta: raw step size, (k, b, l, d), before bias and softplus.
        A: decay rate, (k, d, n), negative.
        B: input matrix, (k, b, l, n).
        C: output matrix, (k, b, l, n).
        D: skip weight, (k, d).
        delta_bias: (k, d), added to ``delta`` before the softplus.
        reverse: for each path, whether it starts at the last token.

    Returns:
        y, (k, b, l, d), in memory order and in the dtype of ``u``; the state is float32 or wider.
    """
    return fastest(u)(u, delta, A, B, C, D, delta_bias, reverse, softplus=True)


def fastest(u: Tensor) -> Callable[..., Tensor]:
    """The form of the scan for the device and dtype of ``u``; arguments as `time_major_scan`."""
    if numba_scan.supports(u):
        return numba_scan.scan
    if triton_scan.supports(u):
        return triton_scan.scan
    return time_major_scan


def fused_states(u: Tensor) -> Callable[..., Tensor] | None:
    """The kernels that write every state, for the device and dtype of ``u``, if there are any.

    Their arguments are (u, delta, A, B, reverse) as in `path_scan`, with ``delta`` after the
    softplus; the result is (k, b, l, n, d), not differentiable.
    """
    return next((form.states for form in (numba_scan, triton_scan) if form.supports(u)), None)


def time_major_scan(
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
    """`path_scan` in plain torch for any device: time first, the decays of all tokens at once.

    One fused multiply-add per token is all that is left inside the loop. Differentiable: `unbind`
    gives each token's slice a gradient of its own, where indexing would write a zero tensor of the
    full size per token.
    """
    dtype = torch.promote_types(u.dtype, torch.float32)
    out_dtype = u.dtype
    u, delta, A, B, C, D, delta_bias = (t.to(dtype) for t in (u, delta, A, B, C, D, delta_bias))
    step = delta + delta_bias[:, None, None]
    if softplus:
        step = F.softplus(step)
    decay = torch.exp(torch.einsum("kbld,kdn->lkbnd", step, A))  # eq. 4
    drive = torch.einsum("kbld,kbln->lkbnd", step * u, B)
    backward = torch.tensor(reverse, device=u.device)[:, None, None, None]
    mixed = any(reverse) and not all(reverse)
    if mixed:
        decay = torch.where(backward, decay.flip(0), decay)
        drive = torch.where(backward, drive.flip(0), drive)
    decays, drives = decay.unbind(0), drive.unbind(0)
    if all(reverse):
        decays, drives = decays[::-1], drives[::-1]
    h = torch.zeros_like(drives[0])
    states = []
    for decay_t, drive_t in zip(decays, drives, strict=True):
        h = torch.addcmul(drive_t, decay_t, h)  # eq. 2a
        states.append(h)
    if all(reverse):
        states.reverse()
    stacked = torch.stack(states)
    if mixed:
        stacked = torch.where(backward, stacked.flip(0), stacked)
    y = torch.einsum("lkbnd,kbln->kbld", stacked, C)  # eq. 2b
    return torch.addcmul(y, D[:, None, None], u).to(out_dtype)
