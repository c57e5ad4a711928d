"""How far apart two answers are: two distributions over the same classes, in nats."""

from __future__ import annotations

import numpy as np


def kl_divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Kullback-Leibler divergence of q from p, Σ p ln(p / q), in nats.

    Where q is zero and p is not it would be infinite; q counts as the least positive number there,
    because a softmax is never zero but for its rounding.

    Args:
        p: (n,), summing to 1.
        q: (n,), summing to 1, the same classes in the same order.
    """
    p, q = p.astype(np.float64), np.maximum(q.astype(np.float64), np.finfo(np.float64).tiny)
    some = p > 0
    return float((p[some] * np.log(p[some] / q[some])).sum())


def js_divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence (Lin 1991, eq. 4.1 with equal weights), in nats.

    The mean of the divergences of p and of q from their mean: symmetric, and at most ln 2.

    Args:
        p: (n,), summing to 1.
        q: (n,), summing to 1, the same classes in the same order.
    """
    mean = (p.astype(np.float64) + q.astype(np.float64)) / 2
    return (kl_divergence(p, mean) + kl_divergence(q, mean)) / 2
