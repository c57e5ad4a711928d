"""How much of each token a selective scan takes to each later one: its implicit attention.

Ali, Zimerman & Wolf 2024, "The Hidden Attention of Mamba Models", arXiv:2403.01590. With Δ, A, B
and C as in `mambaout.ops.selective_scan`, per channel d::

    alpha_ts = sum_n C_t[n] exp(A[d, n] (Δ_{s+1} + … + Δ_t)) Δ_s B_s[n]     for s <= t, else 0
    y_t      = sum_s alpha_ts u_s + D u_t

The paper's public code decays only up to the token before t where it computes a single row; here,
as in the scan, the step Δ_t counts. Rows are reading tokens, columns the tokens read, both in scan
order. What stands around a scan (convolution, skip D, gate, projections) is not in alpha.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaout.ops.scan_inputs import ScanInputs
from mambaout.ops.shapes import check_scan_shapes

_BLOCK = 2**18  # numbers per temporary array of `mean_hidden_attention`: 1 MiB stays in the cache


def hidden_attention(inputs: ScanInputs) -> Tensor:
    """alpha of every channel and every pair of tokens, (b, d, l, l), float32 or wider.

    For small cases: 197 tokens in 384 channels take 60 MB.
    """
    return hidden_attention_rows(inputs, range(inputs.u.shape[2]))


def hidden_attention_rows(inputs: ScanInputs, rows: Sequence[int]) -> Tensor:
    """alpha of some reading tokens: what each channel of each of them takes from every token.

    Args:
        inputs: what the scan is given.
        rows: the steps at which the reading tokens are visited, 0 … l-1.

    Returns:
        (b, d, rows, l), float32 or wider, differentiable.

    Raises:
        ValueError: there is no such step, or the shapes of ``inputs`` do not fit each other.
    """
    check_scan_shapes(inputs.u, inputs.delta, inputs.A, inputs.B, inputs.C)
    length = inputs.u.shape[2]
    if not all(0 <= row < length for row in rows):
        raise ValueError(f"rows must be 0 to {length - 1}, got {list(rows)}")
    # Nothing after the last of the rows is read.
    seen = max(rows, default=-1) + 1
    t = torch.tensor(rows, dtype=torch.long, device=inputs.u.device)
    dtype = torch.promote_types(inputs.delta.dtype, torch.float32)
    delta, A, B, C = (x.to(dtype) for x in (inputs.delta, inputs.A, inputs.B, inputs.C))
    delta, B, C = delta[:, :, :seen], B[:, :, :seen], C[:, :, t]

    past = torch.arange(seen, device=t.device) <= t[:, None]  # (rows, seen)
    steps = delta[:, :, None] * past
    # The steps after s up to t, added from t backwards: differences of sums from the start would
    # lose digits, quotients of their exponentials overflow.
    after = F.pad(steps[..., 1:], (0, 1)).flip(-1).cumsum(-1).flip(-1)  # (b, d, rows, seen)
    alpha = torch.zeros_like(after)
    for n in range(A.shape[1]):
        read = C[:, n, :, None] * B[:, n, None, :]  # (b, rows, seen)
        alpha = torch.addcmul(alpha, torch.exp(A[:, n, None, None] * after), read[:, None])
    return F.pad(alpha * steps, (0, length - seen))


def mean_hidden_attention(
    inputs: ScanInputs, rows: Sequence[int] | None = None, *, signed: bool = False
) -> Tensor:
    """The mean of alpha over the channels, as one matrix per picture.

    Rows are computed a few at a time: beside the result, a few arrays of 1 MiB in float32 exist, or
    of one row, (d, l), where that is more.

    Args:
        inputs: what the scan is given.
        rows: the steps at which the reading tokens are visited; None for all.
        signed: the mean of alpha, in which channels of opposite signs cancel; else that of |alpha|.

    Returns:
        (b, rows, l), float32 or wider, not differentiable.

    Raises:
        ValueError: as `hidden_attention_rows`.
    """
    b, d, length = inputs.u.shape
    rows = range(length) if rows is None else rows
    at_once = max(1, _BLOCK // (b * d * length))
    dtype = torch.promote_types(inputs.delta.dtype, torch.float32)
    mean = torch.empty(b, len(rows), length, dtype=dtype, device=inputs.u.device)
    with torch.no_grad():
        for first in range(0, len(rows), at_once):
            alpha = hidden_attention_rows(inputs, rows[first : first + at_once])
            mean[:, first : first + at_once] = (alpha if signed else alpha.abs()).mean(1)
    return mean
