"""exp2, softplus, sigmoid and SiLU of vectors of lanes, without a vector maths library.

Numba calls the scalar `expf` where Intel's SVML is missing, which is everywhere but on Intel's own
channel. A polynomial and an exponent built from bits take a few instructions on any processor.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from mambaout.ops.numba_vector import at_least, magnitude, positive, split_exponent

LOG2E = np.float32(1.4426950408889634)
LN2 = np.float32(0.6931471805599453)
ONE = np.float32(1.0)
ZERO = np.float32(0.0)

# 2^f on |f| <= 1/2, minimax of degree 5 with the constant term held at 1: 9e-8 relative.
_E1, _E2, _E3, _E4, _E5 = (
    np.float32(c) for c in (0.693146978, 0.240222421, 0.0555073374, 0.00967151279, 0.00132647273)
)
# 2 atanh(s) / s as a polynomial in s², s <= 1/3: 4e-9 relative.
ATANH = tuple(np.float32(c) for c in (2.0, 0.666663146, 0.400249121, 0.279605713, 0.28178498))
_L0, _L1, _L2, _L3, _L4 = ATANH
_TWO, _LOWEST, _MINUS_LOG2E = np.float32(2.0), np.float32(-126.0), -LOG2E
_TINY = np.float32(2.0**-126)


@nb.njit(error_model="numpy")
def exp2(x):
    """2^x for x <= 127; below 2^-126 it stays at 2^-126, which no float32 sum notices."""
    f, power = split_exponent(at_least(x, _LOWEST))
    return (((((f * _E5 + _E4) * f + _E3) * f + _E2) * f + _E1) * f + ONE) * power


@nb.njit(error_model="numpy")
def softplus(x):
    """log(1 + e^x) = max(x, 0) + log1p(e), with e = e^-|x| and log1p(e) = 2 atanh(e / (2 + e))."""
    e = _small(x)
    return at_least(x, ZERO) + _twice_atanh(e / (e + _TWO))


@nb.njit(error_model="numpy")
def softplus_and_slope(x):
    """log(1 + e^x) and its derivative, the sigmoid, from one exponential and one division."""
    e = _small(x)
    one, two = e + ONE, e + _TWO
    both = ONE / (one * two)
    return at_least(x, ZERO) + _twice_atanh(e * one * both), positive(x, ONE, e) * two * both


@nb.njit(error_model="numpy")
def _small(x):
    """e^-|x|, exactly 0 where it is below 2^-126: a step of zero keeps all."""
    return exp2(magnitude(x) * _MINUS_LOG2E) - _TINY


@nb.njit(error_model="numpy")
def _twice_atanh(s):
    q = s * s
    return ((((q * _L4 + _L3) * q + _L2) * q + _L1) * q + _L0) * s


@nb.njit(error_model="numpy")
def sigmoid(x):
    """1 / (1 + e^-x)."""
    e = exp2(magnitude(x) * _MINUS_LOG2E)
    return positive(x, ONE, e) / (e + ONE)


@nb.njit(error_model="numpy")
def silu(x):
    """x / (1 + e^-x)."""
    return x * sigmoid(x)


@nb.njit(error_model="numpy")
def scale_rates(a, A):
    """a (n, d) = A (d, n) · log2(e), because exp(x) = 2^(x log2 e)."""
    for j in range(A.shape[0]):
        for n in range(A.shape[1]):
            a[n, j] = A[j, n] * LOG2E
