"""exp2, softplus and sigmoid that LLVM vectorises without a vector maths library.

Numba calls the scalar `expf` where Intel's SVML is missing, which is everywhere but on Intel's own
channel. A polynomial and an exponent built from bits vectorise on any processor.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

# NaN stays NaN: "nnan" would let the compiler assume it away, and a broken model look healthy.
FASTMATH = {"nsz", "contract", "arcp", "afn", "reassoc"}
LOG2E = np.float32(1.4426950408889634)
LN2 = np.float32(0.6931471805599453)
ONE = np.float32(1.0)
ZERO = np.float32(0.0)

# 2^f on |f| <= 1/2, minimax of degree 5 with the constant term held at 1: 9e-8 relative.
_E1, _E2, _E3, _E4, _E5 = (
    np.float32(c) for c in (0.693146978, 0.240222421, 0.0555073374, 0.00967151279, 0.00132647273)
)
# 2 atanh(s) / s as a polynomial in s², s <= 1/3: 4e-9 relative.
_L0, _L1, _L2, _L3, _L4 = (
    np.float32(c) for c in (2.0, 0.666663146, 0.400249121, 0.279605713, 0.28178498)
)
_HALF, _TWO, _LOWEST = np.float32(0.5), np.float32(2.0), np.float32(-126.0)


@intrinsic
def _floor(typingctx: Any, x: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        floor = builder.module.declare_intrinsic("llvm.floor", [ir.FloatType()])
        return builder.call(floor, args)

    return types.float32(types.float32), codegen


@intrinsic
def _power_of_two(typingctx: Any, k: Any) -> Any:
    """2^k for a whole number k in [-126, 127], by writing the exponent field of a float32."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        int32 = ir.IntType(32)
        exponent = builder.add(builder.fptosi(args[0], int32), ir.Constant(int32, 127))
        return builder.bitcast(builder.shl(exponent, ir.Constant(int32, 23)), ir.FloatType())

    return types.float32(types.float32), codegen


@nb.njit(fastmath=FASTMATH, inline="always", error_model="numpy")
def exp2(x):
    """2^x for x <= 127; below 2^-126 it stays at 2^-126, which no float32 sum notices."""
    x = max(x, _LOWEST)
    k = _floor(x + _HALF)
    f = x - k
    p = ((((_E5 * f + _E4) * f + _E3) * f + _E2) * f + _E1) * f + ONE
    return p * _power_of_two(k)


@nb.njit(fastmath=FASTMATH, inline="always", error_model="numpy")
def softplus(x):
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|), with log1p(e) = 2 atanh(e / (2 + e))."""
    e = exp2(-abs(x) * LOG2E)
    s = e / (_TWO + e)
    q = s * s
    return max(x, ZERO) + ((((_L4 * q + _L3) * q + _L2) * q + _L1) * q + _L0) * s


@nb.njit(fastmath=FASTMATH, inline="always", error_model="numpy")
def sigmoid(x):
    return ONE / (ONE + exp2(-x * LOG2E))
