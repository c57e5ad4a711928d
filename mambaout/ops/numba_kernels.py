"""The fused selective scan for CPUs: forward with optional states, and an analytic backward.

A tile of channels goes through all tokens of one path of one picture, its (n, tile) state in the
first-level cache. exp(ΔA) is never written to memory. Jobs are (path, picture, tile) triples; a
kernel runs jobs ``first`` to ``last``, so that threads can share them, and releases the GIL.

Arrays: u, step, z, out (k, b, l, d); A (k, d, n); B, C (k, b, l, n); D, bias (k, d). Where d is the
last axis its stride is 1; all other strides are free. ``z`` is looked at only if ``gated``.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba as nb
import numpy as np

from mambaout.ops.numba_compile import compiled
from mambaout.ops.numba_math import (
    LN2,
    ONE,
    ZERO,
    exp2,
    scale_rates,
    sigmoid,
    silu,
    softplus,
    softplus_and_slope,
)
from mambaout.ops.numba_vector import load, prefetch, splat, store, total

CHUNK = 16  # tokens whose states the backward keeps at a time, in the second-level cache
AHEAD = 8  # tokens before its turn that a row of memory is asked for


def array(axes: int) -> Any:
    """The type of a float32 array with free strides: one compiled kernel serves all layouts."""
    return nb.types.Array(nb.float32, axes, "A")


_WHOLE, _FLAG = nb.intp, nb.boolean
_FLAGS = nb.types.Array(nb.boolean, 1, "C")


@cache
def forward_kernel(lanes: int) -> Any:
    """The forward kernel for vectors of ``lanes`` channels, a power of two that divides the tile.

    ``kept`` (k, b, l // every, n, d) takes the state after every ``every`` tokens of a path, in the
    order of memory; ``every`` = 0 keeps none.
    """
    signature = nb.void(
        _WHOLE, _WHOLE, _WHOLE, array(4), array(4), array(3), array(4), array(4), array(2),
        array(2), _FLAGS, _FLAG, array(4), _FLAG, array(4), array(5), _WHOLE,
    )  # fmt: skip

    @compiled(signature, lanes)
    def forward(
        first, last, tile, u, step, A, B, C, D, bias, reverse, raw, z, gated, out, kept, every
    ):
        _, b, length, d = u.shape
        n_state = A.shape[2]
        tiles = d // tile
        h = np.empty((n_state, tile), np.float32)
        a = np.empty((n_state, tile), np.float32)
        for job in range(first, last):
            k = job // (b * tiles)
            i = job // tiles % b
            d0 = job % tiles * tile
            h[:] = ZERO
            scale_rates(a, A[k, d0 : d0 + tile])
            for s in range(length):
                t = length - 1 - s if reverse[k] else s
                soon = max(t - AHEAD, 0) if reverse[k] else min(t + AHEAD, length - 1)
                for j in range(0, tile, lanes):
                    prefetch(u, (k, i, soon, d0 + j), lanes)
                    prefetch(step, (k, i, soon, d0 + j), lanes)
                    x = load(u, (k, i, t, d0 + j), lanes)
                    delta = load(step, (k, i, t, d0 + j), lanes) + load(bias, (k, d0 + j), lanes)
                    if raw:
                        delta = softplus(delta)
                    drive = delta * x
                    y = load(D, (k, d0 + j), lanes) * x
                    for n in range(n_state):
                        decayed = exp2(delta * load(a, (n, j), lanes)) * load(h, (n, j), lanes)
                        new = decayed + drive * B[k, i, t, n]
                        store(h, (n, j), new)
                        y += new * C[k, i, t, n]
                    if gated:
                        y *= silu(load(z, (k, i, t, d0 + j), lanes))
                    store(out, (k, i, t, d0 + j), y)
                if every and (s + 1) % every == 0:
                    c = s // every
                    c = kept.shape[2] - 1 - c if reverse[k] else c
                    kept[k, i, c, :, d0 : d0 + tile] = h

    return forward


@cache
def backward_kernel(lanes: int) -> Any:
    """The backward kernel for vectors of ``lanes`` channels.

    It takes the chunks of tokens from a path's last to its first: recomputes the states inside from
    the one that the forward kernel kept, then walks back through them with
    g_t = C_t dy_t + exp(Δ_{t+1} A) g_{t+1}, the gradient of h_t.
    """
    signature = nb.void(
        _WHOLE, _WHOLE, _WHOLE, array(4), array(4), array(3), array(4), array(4), array(2),
        array(2), _FLAGS, _FLAG, array(4), _FLAG, array(5), array(4), array(4), array(4), array(4),
        array(4), array(5), array(5), array(3), _FLAG,
    )  # fmt: skip

    @compiled(signature, lanes)
    def backward(
        first, last, tile, u, step, A, B, C, D, bias, reverse, raw, z, gated, kept,
        dout, du, dstep, dz, dA, dB, dC, dD, weights,
    ):  # fmt: skip
        # dA (b, k, n, d) and dD (b, k, d) per picture, dB and dC (tiles, k, b, l, n) per tile:
        # partial sums, so that no two jobs write to one place. dA only where ``weights`` says so.
        _, b, length, d = u.shape
        n_state = A.shape[2]
        tiles = d // tile
        chunks = (length + CHUNK - 1) // CHUNK
        a = np.empty((n_state, tile), np.float32)
        g = np.empty((n_state, tile), np.float32)
        grad_a = np.empty((n_state, tile), np.float32)
        grad_skip = np.empty(tile, np.float32)
        h = np.empty((CHUNK + 1, n_state, tile), np.float32)  # row 0 is the state before the chunk
        decay = np.empty((CHUNK, n_state, tile), np.float32)  # exp(Δ_t A)
        deltas = np.empty((CHUNK, tile), np.float32)
        slopes = np.empty((CHUNK, tile), np.float32)  # dΔ/dstep
        for job in range(first, last):
            k = job // (b * tiles)
            i = job // tiles % b
            part = job % tiles
            d0 = part * tile
            g[:] = ZERO
            grad_a[:] = ZERO
            grad_skip[:] = ZERO
            scale_rates(a, A[k, d0 : d0 + tile])
            for c in range(chunks - 1, -1, -1):
                if c == 0:
                    h[0] = ZERO
                else:
                    before = kept.shape[2] - c if reverse[k] else c - 1
                    h[0] = kept[k, i, before, :, d0 : d0 + tile]
                s0 = c * CHUNK
                s1 = min(length, s0 + CHUNK)
                for s in range(s0, s1):
                    t = length - 1 - s if reverse[k] else s
                    q = s - s0
                    soon = s - CHUNK if c > 0 else s
                    soon = length - 1 - soon if reverse[k] else soon
                    for j in range(0, tile, lanes):
                        prefetch(u, (k, i, soon, d0 + j), lanes)
                        prefetch(step, (k, i, soon, d0 + j), lanes)
                        prefetch(dout, (k, i, t, d0 + j), lanes)
                        delta = load(step, (k, i, t, d0 + j), lanes)
                        delta += load(bias, (k, d0 + j), lanes)
                        if raw:
                            delta, slope = softplus_and_slope(delta)
                            store(slopes, (q, j), slope)
                        store(deltas, (q, j), delta)
                        drive = delta * load(u, (k, i, t, d0 + j), lanes)
                        for n in range(n_state):
                            e = exp2(delta * load(a, (n, j), lanes))
                            store(decay, (q, n, j), e)
                            new = e * load(h, (q, n, j), lanes) + drive * B[k, i, t, n]
                            store(h, (q + 1, n, j), new)
                for s in range(s1 - 1, s0 - 1, -1):
                    t = length - 1 - s if reverse[k] else s
                    q = s - s0
                    dB[part, k, i, t, :] = ZERO
                    dC[part, k, i, t, :] = ZERO
                    for j in range(0, tile, lanes):
                        x = load(u, (k, i, t, d0 + j), lanes)
                        dy = load(dout, (k, i, t, d0 + j), lanes)
                        skip = load(D, (k, d0 + j), lanes)
                        y = skip * x
                        if gated:
                            ungated = dy
                            gate = load(z, (k, i, t, d0 + j), lanes)
                            open_ = sigmoid(gate)
                            dy *= gate * open_
                        delta = load(deltas, (q, j), lanes)
                        drive = delta * x
                        store(grad_skip, (j,), load(grad_skip, (j,), lanes) + dy * x)
                        to_delta = splat(ZERO, lanes)
                        to_drive = splat(ZERO, lanes)
                        for n in range(n_state):
                            g_t = load(g, (n, j), lanes) + dy * C[k, i, t, n]
                            carried = g_t * load(decay, (q, n, j), lanes)
                            store(g, (n, j), carried)
                            to_exponent = carried * load(h, (q, n, j), lanes)
                            if weights:
                                so_far = load(grad_a, (n, j), lanes)
                                store(grad_a, (n, j), so_far + to_exponent * delta)
                            to_delta += to_exponent * load(a, (n, j), lanes)
                            to_drive += g_t * B[k, i, t, n]
                            dB[part, k, i, t, n] += total(g_t * drive)
                            h_t = load(h, (q + 1, n, j), lanes)
                            dC[part, k, i, t, n] += total(dy * h_t)
                            y += h_t * C[k, i, t, n]
                        if gated:
                            # d SiLU(z) / dz = open (1 + z (1 - open)), open the sigmoid of z
                            slope = open_ * (gate * (ONE - open_) + ONE)
                            store(dz, (k, i, t, d0 + j), ungated * y * slope)
                        store(du, (k, i, t, d0 + j), to_drive * delta + dy * skip)
                        to_step = to_delta * LN2 + to_drive * x
                        if raw:
                            to_step *= load(slopes, (q, j), lanes)
                        store(dstep, (k, i, t, d0 + j), to_step)
            dA[i, k, :, d0 : d0 + tile] = grad_a
            dD[i, k, d0 : d0 + tile] = grad_skip

    return backward
