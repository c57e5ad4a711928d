"""What every token of a scan on a GPU goes through: where it lies, its step Δ, and sigmoids.

`tl.log` is a fast approximation near 1, where a small step's softplus needs its digits, so softplus
is the series of the CPU form.
"""

from __future__ import annotations

import triton
import triton.language as tl

from mambaout.ops import numba_math

LOG2E = tl.constexpr(float(numba_math.LOG2E))
LN2 = tl.constexpr(float(numba_math.LN2))
_L0, _L1, _L2, _L3, _L4 = (tl.constexpr(float(c)) for c in numba_math.ATANH)


@triton.jit
def softplus(x):
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|), with log1p(e) = 2 atanh(e / (2 + e))."""
    e = tl.exp2(-tl.abs(x) * LOG2E)
    s = e / (2.0 + e)
    q = s * s
    series = (((_L4 * q + _L3) * q + _L2) * q + _L1) * q + _L0
    return tl.maximum(x, 0.0) + series * s


@triton.jit
def sigmoid(x):
    e = tl.exp2(-tl.abs(x) * LOG2E)
    return tl.where(x >= 0, 1.0, e) / (1.0 + e)


@triton.jit
def base(pointer, strides, k, i):
    """Where path ``k`` of picture ``i`` begins; int64, for tensors of more than 2^31 numbers."""
    return pointer + k * strides[0] + i * strides[1]


@triton.jit
def visited(s, length, reverse, k):
    """The token, in memory order, that path ``k`` visits at step ``s``."""
    backward = (reverse >> k) & 1
    return tl.where(backward == 1, length - 1 - s, s).to(tl.int64)


@triton.jit
def load(pointer, mask):
    """In float32, whatever it is stored as; 0 outside the mask."""
    return tl.load(pointer, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def step_size(raw, bias, mask, SOFTPLUS: tl.constexpr):
    """Δ; 0, which leaves a state as it is, where there is no token."""
    step = raw + bias
    if SOFTPLUS:
        step = softplus(step)
    return tl.where(mask, step, 0.0)
