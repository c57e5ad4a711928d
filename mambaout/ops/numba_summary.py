"""The pass over the tokens behind `scan_summary` on a CPU: no state outlives its token."""

from __future__ import annotations

import numba as nb
import numpy as np

from mambaout.ops.numba_math import FASTMATH, ZERO, exp2


@nb.njit(nogil=True, fastmath=FASTMATH, error_model="numpy", cache=True)
def summarise(u, step, A2, B, C, retention, state_norm, read):  # type: ignore[no-untyped-def]
    """One path of one picture; all channels are the vector.

    Arrays: u, step (l, d); A2 = A·log2(e) (n, d); B, C (l, n). Results, (l,), are written into the
    last three.
    """
    length, d = u.shape
    n_state = A2.shape[0]
    h = np.zeros((n_state, d), np.float32)
    du = np.empty(d, np.float32)
    y = np.empty(d, np.float32)
    for t in range(length):
        delta = step[t]
        u_t = u[t]
        for j in range(d):
            du[j] = delta[j] * u_t[j]
            y[j] = ZERO
        kept = ZERO
        square = ZERO
        for n in range(n_state):
            b_n = B[t, n]
            c_n = C[t, n]
            a_n = A2[n]
            h_n = h[n]
            for j in range(d):
                decay = exp2(delta[j] * a_n[j])
                new = decay * h_n[j] + du[j] * b_n
                h_n[j] = new
                y[j] += c_n * new
                kept += decay
                square += new * new
        read_square = ZERO
        for j in range(d):
            read_square += y[j] * y[j]
        retention[t] = kept / np.float32(n_state * d)
        state_norm[t] = np.sqrt(square)
        read[t] = np.sqrt(read_square)
