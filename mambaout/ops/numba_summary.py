"""The pass over the tokens behind `scan_summary` on a CPU: no state outlives its token."""

from __future__ import annotations

from functools import cache
from typing import Any

import numba as nb
import numpy as np

from mambaout.ops.numba_compile import compiled
from mambaout.ops.numba_kernels import array
from mambaout.ops.numba_math import ZERO, exp2, scale_rates
from mambaout.ops.numba_vector import load, splat, store, total


@cache
def summary_kernel(lanes: int) -> Any:
    """The kernel for vectors of ``lanes`` channels; jobs are (picture, tile of channels) pairs.

    Arrays: u, step (b, l, d); A (d, n); B, C (b, l, n). ``sums`` (tiles, 6, b, l) takes each tile's
    sums of exp(Δ_t A), h_t², (C_t h_t)², Δ_t, Δ_t A and (Δ_t u_t)².
    """
    signature = nb.void(
        nb.intp, nb.intp, nb.intp, array(3), array(3), array(2), array(3), array(3), array(4)
    )

    @compiled(signature, lanes)
    def summarise(first, last, tile, u, step, A, B, C, sums):
        _, length, d = u.shape
        n_state = A.shape[1]
        tiles = d // tile
        h = np.empty((n_state, tile), np.float32)
        a = np.empty((n_state, tile), np.float32)
        rates = np.empty(tile, np.float32)
        for job in range(first, last):
            i = job // tiles
            part = job % tiles
            d0 = part * tile
            h[:] = ZERO
            scale_rates(a, A[d0 : d0 + tile])
            for j in range(tile):
                rates[j] = A[d0 + j].sum()
            for t in range(length):
                kept = splat(ZERO, lanes)
                square = splat(ZERO, lanes)
                read = splat(ZERO, lanes)
                steps = splat(ZERO, lanes)
                exponents = splat(ZERO, lanes)
                written = splat(ZERO, lanes)
                for j in range(0, tile, lanes):
                    delta = load(step, (i, t, d0 + j), lanes)
                    drive = delta * load(u, (i, t, d0 + j), lanes)
                    y = splat(ZERO, lanes)
                    steps += delta
                    exponents += delta * load(rates, (j,), lanes)
                    written += drive * drive
                    for n in range(n_state):
                        decay = exp2(delta * load(a, (n, j), lanes))
                        new = decay * load(h, (n, j), lanes) + drive * B[i, t, n]
                        store(h, (n, j), new)
                        kept += decay
                        square += new * new
                        y += new * C[i, t, n]
                    read += y * y
                sums[part, 0, i, t] = total(kept)
                sums[part, 1, i, t] = total(square)
                sums[part, 2, i, t] = total(read)
                sums[part, 3, i, t] = total(steps)
                sums[part, 4, i, t] = total(exponents)
                sums[part, 5, i, t] = total(written)

    return summarise
