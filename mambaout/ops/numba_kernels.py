"""The fused selective scan for CPUs: forward with optional states, and an analytic backward.

A block of ``lanes`` channels is the vector; its (n, lanes) state stays in the first-level cache
while the tokens go by. exp(ΔA) is never written to memory. Jobs are (path, picture, block) triples;
a kernel runs jobs ``first`` to ``last``, so that threads can share them, and releases the GIL.

Arrays: u, step, out (k, b, l, d); A2 = A·log2(e) (k, n, d); B, C (k, b, l, n); D, bias (k, d).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba as nb
import numpy as np

from mambaout.ops.numba_math import FASTMATH, LN2, ZERO, exp2, sigmoid, softplus

CHUNK = (
    32  # tokens whose states the backward keeps at a time; 32·16·64 floats fit the 2nd-level cache
)


@cache
def forward_kernel(lanes: int) -> Any:
    """The forward kernel for blocks of exactly ``lanes`` channels (a compile-time constant)."""

    @nb.njit(nogil=True, fastmath=FASTMATH, error_model="numpy", cache=True)
    def forward(first, last, u, step, A2, B, C, D, bias, reverse, raw, out, states, keep_states):
        _, b, length, d = u.shape
        n_state = A2.shape[1]
        blocks = d // lanes
        h = np.empty((n_state, lanes), np.float32)
        a = np.empty((n_state, lanes), np.float32)
        delta = np.empty(lanes, np.float32)
        du = np.empty(lanes, np.float32)
        y = np.empty(lanes, np.float32)
        for job in range(first, last):
            k = job // (b * blocks)
            i = job // blocks % b
            d0 = job % blocks * lanes
            h[:] = ZERO
            a[:] = A2[k, :, d0 : d0 + lanes]
            skip = D[k, d0 : d0 + lanes]
            shift = bias[k, d0 : d0 + lanes]
            for s in range(length):
                t = length - 1 - s if reverse[k] else s
                u_t = u[k, i, t, d0 : d0 + lanes]
                step_t = step[k, i, t, d0 : d0 + lanes]
                if raw:
                    for j in range(lanes):
                        delta[j] = softplus(step_t[j] + shift[j])
                else:
                    for j in range(lanes):
                        delta[j] = step_t[j] + shift[j]
                for j in range(lanes):
                    du[j] = delta[j] * u_t[j]
                    y[j] = skip[j] * u_t[j]
                for n in range(n_state):
                    b_n = B[k, i, t, n]
                    c_n = C[k, i, t, n]
                    h_n = h[n]
                    a_n = a[n]
                    for j in range(lanes):
                        new = exp2(delta[j] * a_n[j]) * h_n[j] + du[j] * b_n
                        h_n[j] = new
                        y[j] += c_n * new
                out_t = out[k, i, t, d0 : d0 + lanes]
                for j in range(lanes):
                    out_t[j] = y[j]
                if keep_states:
                    states[k, i, t, :, d0 : d0 + lanes] = h

    return forward


@cache
def backward_kernel(lanes: int) -> Any:
    """The backward kernel for blocks of exactly ``lanes`` channels.

    It runs forward once to note the state at each chunk's start, then takes the chunks from the
    last to the first: recompute the states inside, then walk back through them with
    g_t = C_t dy_t + exp(Δ_{t+1} A) g_{t+1}, the gradient of h_t.
    """

    @nb.njit(nogil=True, fastmath=FASTMATH, error_model="numpy", cache=True)
    def backward(
        first, last, u, step, A2, B, C, D, bias, reverse, raw, dout,
        du_out, dstep, dA, dB, dC, dD,
    ):  # fmt: skip
        # dA (b, k, n, d) and dD (b, k, d) per picture, dB and dC (blocks, k, b, l, n) per block:
        # partial sums, so that no two jobs write to one place.
        _, b, length, d = u.shape
        n_state = A2.shape[1]
        blocks = d // lanes
        chunks = (length + CHUNK - 1) // CHUNK
        a = np.empty((n_state, lanes), np.float32)
        h = np.empty((n_state, lanes), np.float32)
        g = np.empty((n_state, lanes), np.float32)
        grad_a = np.empty((n_state, lanes), np.float32)
        grad_skip = np.empty(lanes, np.float32)
        starts = np.empty((chunks, n_state, lanes), np.float32)
        before = np.empty((CHUNK, n_state, lanes), np.float32)  # h_{t-1}
        decay = np.empty((CHUNK, n_state, lanes), np.float32)  # exp(Δ_t A)
        delta = np.empty((CHUNK, lanes), np.float32)
        du = np.empty(lanes, np.float32)
        to_delta = np.empty(lanes, np.float32)
        to_du = np.empty(lanes, np.float32)
        for job in range(first, last):
            k = job // (b * blocks)
            i = job // blocks % b
            block = job % blocks
            d0 = block * lanes
            h[:] = ZERO
            g[:] = ZERO
            grad_a[:] = ZERO
            grad_skip[:] = ZERO
            a[:] = A2[k, :, d0 : d0 + lanes]
            skip = D[k, d0 : d0 + lanes]
            shift = bias[k, d0 : d0 + lanes]
            for pass_ in range(chunks + chunks):
                # The first `chunks` passes run forward, the others backward through the chunks;
                # the last chunk's forward pass is left to its backward one.
                forward_only = pass_ < chunks
                c = pass_ if forward_only else 2 * chunks - 1 - pass_
                if forward_only:
                    starts[c] = h
                    if c == chunks - 1:
                        continue
                else:
                    h[:] = starts[c]
                s0 = c * CHUNK
                s1 = min(length, s0 + CHUNK)
                for s in range(s0, s1):
                    t = length - 1 - s if reverse[k] else s
                    q = s - s0
                    u_t = u[k, i, t, d0 : d0 + lanes]
                    step_t = step[k, i, t, d0 : d0 + lanes]
                    delta_t = delta[q]
                    if raw:
                        for j in range(lanes):
                            delta_t[j] = softplus(step_t[j] + shift[j])
                    else:
                        for j in range(lanes):
                            delta_t[j] = step_t[j] + shift[j]
                    for j in range(lanes):
                        du[j] = delta_t[j] * u_t[j]
                    for n in range(n_state):
                        b_n = B[k, i, t, n]
                        h_n = h[n]
                        a_n = a[n]
                        before_n = before[q, n]
                        decay_n = decay[q, n]
                        for j in range(lanes):
                            e = exp2(delta_t[j] * a_n[j])
                            decay_n[j] = e
                            before_n[j] = h_n[j]
                            h_n[j] = e * h_n[j] + du[j] * b_n
                if forward_only:
                    continue
                for s in range(s1 - 1, s0 - 1, -1):
                    t = length - 1 - s if reverse[k] else s
                    q = s - s0
                    u_t = u[k, i, t, d0 : d0 + lanes]
                    dy = dout[k, i, t, d0 : d0 + lanes]
                    delta_t = delta[q]
                    for j in range(lanes):
                        du[j] = delta_t[j] * u_t[j]
                        grad_skip[j] += dy[j] * u_t[j]
                        to_delta[j] = ZERO
                        to_du[j] = ZERO
                    for n in range(n_state):
                        b_n = B[k, i, t, n]
                        c_n = C[k, i, t, n]
                        a_n = a[n]
                        g_n = g[n]
                        grad_a_n = grad_a[n]
                        before_n = before[q, n]
                        decay_n = decay[q, n]
                        sum_b = ZERO
                        sum_c = ZERO
                        for j in range(lanes):
                            g_t = g_n[j] + c_n * dy[j]
                            decayed = decay_n[j] * before_n[j]
                            to_exponent = g_t * decayed
                            grad_a_n[j] += to_exponent * delta_t[j]
                            to_delta[j] += to_exponent * a_n[j]
                            to_du[j] += g_t * b_n
                            sum_b += g_t * du[j]
                            sum_c += dy[j] * (decayed + du[j] * b_n)
                            g_n[j] = g_t * decay_n[j]
                        dB[block, k, i, t, n] = sum_b
                        dC[block, k, i, t, n] = sum_c
                    du_t = du_out[k, i, t, d0 : d0 + lanes]
                    dstep_t = dstep[k, i, t, d0 : d0 + lanes]
                    step_t = step[k, i, t, d0 : d0 + lanes]
                    for j in range(lanes):
                        du_t[j] = to_du[j] * delta_t[j] + dy[j] * skip[j]
                        dstep_t[j] = to_delta[j] * LN2 + to_du[j] * u_t[j]
                    if raw:
                        for j in range(lanes):
                            dstep_t[j] *= sigmoid(step_t[j] + shift[j])
            dA[i, k, :, d0 : d0 + lanes] = grad_a
            dD[i, k, d0 : d0 + lanes] = grad_skip

    return backward
