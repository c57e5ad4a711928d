"""What a layer does around its scans, in the passes over memory that the scans make anyway.

Weights come as the modules hold them, one array for each path, in tuples of `PATHS` of which the
first ``paths`` count: nothing is stacked, transposed or kept between calls, so nothing can be
stale. Jobs are (picture, tile of channels) pairs.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numba as nb
import numpy as np

from mambaout.ops.numba_compile import compiled
from mambaout.ops.numba_kernels import AHEAD, array
from mambaout.ops.numba_math import LOG2E, ZERO, exp2, scale_rates, silu, softplus
from mambaout.ops.numba_vector import load, prefetch, store

PATHS = 4  # no family has more
_WHOLE, _FLAG = nb.intp, nb.boolean
_ORDERS = nb.types.Array(nb.int64, 2, "A")


def _each(axes: int) -> Any:
    return nb.types.UniTuple(array(axes), PATHS)


@cache
def conv_kernel(lanes: int) -> Any:
    """SiLU of each path's causal convolution over the tokens.

    Arrays: x (b, l, d); weights (d, taps), the last tap at the current token; biases (d,);
    out (k, b, l, d).
    """
    signature = nb.void(
        _WHOLE, _WHOLE, _WHOLE, array(3), _each(2), _each(1), nb.types.Array(nb.boolean, 1, "C"),
        array(4),
    )  # fmt: skip

    @compiled(signature, lanes)
    def conv(first, last, tile, x, weights, biases, reverse, out):
        paths, _, length, d = out.shape
        tiles = d // tile
        taps = weights[0].shape[1]
        w = np.empty((taps, tile), np.float32)
        for job in range(first, last):
            i = job // tiles
            d0 = job % tiles * tile
            for k in range(paths):
                weight = weights[k]
                bias = biases[k]
                for j in range(tile):
                    for tap in range(taps):
                        w[tap, j] = weight[d0 + j, tap]
                back = -1 if reverse[k] else 1
                for t in range(length):
                    for j in range(0, tile, lanes):
                        total = load(bias, (d0 + j,), lanes)
                        for tap in range(taps):
                            source = t - back * (taps - 1 - tap)
                            if 0 <= source < length:
                                total += load(x, (i, source, d0 + j), lanes) * load(
                                    w, (tap, j), lanes
                                )
                        store(out, (k, i, t, d0 + j), silu(total))

    return conv


@cache
def step_kernel(lanes: int) -> Any:
    """Step sizes after the softplus, from their projections to a few numbers a token.

    Arrays: low (k, b, l, rank or more); weights (d, rank); biases (d,); out (k, b, l, d).
    """
    signature = nb.void(_WHOLE, _WHOLE, _WHOLE, array(4), _each(2), _each(1), array(4))

    @compiled(signature, lanes)
    def step_sizes(first, last, tile, low, weights, biases, out):
        paths, _, length, d = out.shape
        tiles = d // tile
        rank = weights[0].shape[1]
        w = np.empty((rank, tile), np.float32)
        for job in range(first, last):
            i = job // tiles
            d0 = job % tiles * tile
            for k in range(paths):
                weight = weights[k]
                bias = biases[k]
                for j in range(tile):
                    for r in range(rank):
                        w[r, j] = weight[d0 + j, r]
                for t in range(length):
                    for j in range(0, tile, lanes):
                        step = load(bias, (d0 + j,), lanes)
                        for r in range(rank):
                            step += load(w, (r, j), lanes) * low[k, i, t, r]
                        store(out, (k, i, t, d0 + j), softplus(step))

    return step_sizes


@cache
def merged_kernel(lanes: int) -> Any:
    """All paths of a layer one after the other, their results summed where the tokens stand.

    Arrays: u (k, b, l, d); low (k, b, l, rank + 2n) holds what Δ is projected from, B and C;
    weights (d, rank), biases (d,), rates = log(-A) (d, n), skips (d,); orders (k, l), the position
    visited at each step; z and out (b, l, d). ``z`` is looked at only if ``gated``.
    """
    signature = nb.void(
        _WHOLE, _WHOLE, _WHOLE, array(4), array(4), _each(2), _each(1), _each(2), _each(1),
        _ORDERS, array(3), _FLAG, nb.float32, array(3),
    )  # fmt: skip

    @compiled(signature, lanes)
    def merged(
        first, last, tile, u, low, weights, biases, rates, skips, orders, z, gated, scale, out
    ):
        paths, _, length, d = u.shape
        rank = weights[0].shape[1]
        n_state = rates[0].shape[1]
        tiles = d // tile
        w = np.empty((rank, tile), np.float32)
        a = np.empty((n_state, tile), np.float32)
        h = np.empty((n_state, tile), np.float32)
        for job in range(first, last):
            i = job // tiles
            d0 = job % tiles * tile
            for k in range(paths):
                weight = weights[k]
                bias = biases[k]
                skip = skips[k]
                final = k == paths - 1
                for j in range(tile):
                    for r in range(rank):
                        w[r, j] = weight[d0 + j, r]
                scale_rates(a, rates[k][d0 : d0 + tile])
                for n in range(n_state):
                    for j in range(0, tile, lanes):
                        store(a, (n, j), exp2(load(a, (n, j), lanes)) * -LOG2E)
                h[:] = ZERO
                for s in range(length):
                    t = orders[k, s]
                    soon = orders[k, min(s + AHEAD, length - 1)]
                    for j in range(0, tile, lanes):
                        prefetch(u, (k, i, soon, d0 + j), lanes)
                        if k > 0:
                            prefetch(out, (i, soon, d0 + j), lanes)
                        x = load(u, (k, i, t, d0 + j), lanes)
                        delta = load(bias, (d0 + j,), lanes)
                        for r in range(rank):
                            delta += load(w, (r, j), lanes) * low[k, i, t, r]
                        delta = softplus(delta)
                        drive = delta * x
                        y = load(skip, (d0 + j,), lanes) * x
                        for n in range(n_state):
                            decayed = exp2(delta * load(a, (n, j), lanes)) * load(h, (n, j), lanes)
                            new = decayed + drive * low[k, i, t, rank + n]
                            store(h, (n, j), new)
                            y += new * low[k, i, t, rank + n_state + n]
                        if k > 0:
                            y += load(out, (i, t, d0 + j), lanes)
                        if final:
                            y *= scale
                            if gated:
                                y *= silu(load(z, (i, t, d0 + j), lanes))
                        store(out, (i, t, d0 + j), y)

    return merged
