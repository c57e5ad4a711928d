"""The scan as reference implementations spell it: each token's slice indexed in the loop.

As fast forward as `mambaout.ops.plain_selective_scan`. Backward it is what published numbers are
compared with: autograd writes a zero tensor of the full size for every token that was indexed, so
its time grows with the square of their number.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def indexed_selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    *,
    z: Tensor | None,
    delta_bias: Tensor,
    delta_softplus: bool,
) -> Tensor:
    """As `mambaout.ops.selective_scan`, with ``B`` and ``C`` of shape (b, g, n, l)."""
    step = delta + delta_bias[:, None]
    step = F.softplus(step) if delta_softplus else step
    decay = torch.exp(torch.einsum("bdl,dn->bdln", step, A))
    if B.shape[1] == 1:
        B, C, channels = B[:, 0], C[:, 0], ""
    else:
        B, C = (t.repeat_interleave(u.shape[1] // t.shape[1], dim=1) for t in (B, C))
        channels = "d"
    drive = torch.einsum(f"bdl,b{channels}nl,bdl->bdln", step, B, u)
    h = torch.zeros_like(drive[:, :, 0])
    reads = []
    for t in range(u.shape[2]):
        h = decay[:, :, t] * h + drive[:, :, t]
        reads.append(torch.einsum(f"bdn,b{channels}n->bd", h, C[..., t]))
    y = torch.stack(reads, dim=2) + D[:, None] * u
    return y if z is None else y * F.silu(z)
