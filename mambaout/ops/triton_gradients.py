"""The backward of the selective scan on a GPU.

A program has 32 channels of one segment of a path, as in `triton_kernels`. It runs forward once to
note the state at each chunk's start, then takes the chunks from the last to the first: recompute
the states inside, then walk back through them with g_t = C_t dy_t + exp(Δ_{t+1} A) g_{t+1}, the
gradient of h_t. Notes and the states of one chunk lie in a strip of memory per program that is
written over and over, so that it stays in the cache; all states never exist together.

With several segments, `triton_kernels.segment_ends` and `triton_kernels.carry` have found the state
before each and the gradient behind it. What is summed over channels (dB, dC) or over segments and
pictures (dA, dD, dbias) is written as one partial sum per program and added up by torch, in an
order that does not change from run to run.
"""

from __future__ import annotations

import triton
import triton.language as tl

from mambaout.ops.triton_kernels import place
from mambaout.ops.triton_math import LN2, base, load, sigmoid, step_size, visited


@triton.jit(do_not_specialize=["chunk", "reverse", "width"])
def gradients(
    u, delta, A2, B, C, D, bias, dout, starts, behind, strips,
    du, ddelta, dA, dB, dC, dD, dbias,
    u_strides, delta_strides, B_strides, C_strides, dout_strides,
    batch, length, segments, tokens, chunk, blocks, width, reverse,
    N: tl.constexpr, PADDED: tl.constexpr, LANES: tl.constexpr,
    SOFTPLUS: tl.constexpr, BORDERS: tl.constexpr, WEIGHTS: tl.constexpr,
):  # fmt: skip
    """Gradients du, ddelta (k, b, l, d), and partial sums of the others.

    dB, dC (blocks, k, b, l, n); dA (k, b, segments, n, d), dD and dbias (k, b, segments, d), these
    three with ``WEIGHTS`` alone. ``starts`` and ``behind`` (k, b, segments, n, d) are read with
    ``BORDERS`` alone. ``strips``: (programs, chunks of a segment + tokens of a chunk, n, lanes).
    """
    k, i, sequence, segment, block = place(segments, blocks, batch)
    lane = tl.arange(0, LANES)
    channel = block * LANES + lane
    n = tl.arange(0, PADDED)
    inside, numbers = channel < width, n < N
    square = numbers[:, None] & inside[None, :]
    a = load(A2 + (k * N + n[:, None]) * width + channel[None, :], square)
    shift, skip = load(bias + k * width + channel, inside), load(D + k * width + channel, inside)
    u, delta = base(u, u_strides, k, i) + channel, base(delta, delta_strides, k, i) + channel
    B, C = base(B, B_strides, k, i) + n, base(C, C_strides, k, i) + n
    dout = base(dout, dout_strides, k, i) + channel
    cell = sequence * segments + segment
    corner = (cell * N + n[:, None]) * width + channel[None, :]
    first = segment.to(tl.int32) * tokens
    last = tl.minimum(first + tokens, length)
    chunks = tl.cdiv(tokens, chunk)
    row: tl.constexpr = N * LANES
    note = strips + tl.program_id(0).to(tl.int64) * (chunks + chunk) * row
    note = note + n[:, None] * LANES + lane[None, :]
    before = note + chunks * row
    if BORDERS:
        h, g = load(starts + corner, square), load(behind + corner, square)
    else:
        h = tl.zeros((PADDED, LANES), tl.float32)
        g = tl.zeros((PADDED, LANES), tl.float32)
    for c in tl.range(0, chunks):
        tl.store(note + c * row, h, mask=square)
        # The last chunk's forward pass is left to its backward one.
        end = tl.where(c == chunks - 1, 0, tl.minimum(first + (c + 1) * chunk, last))
        for s in tl.range(first + c * chunk, end):
            t = visited(s, length, reverse, k)
            step = step_size(load(delta + t * delta_strides[2], inside), shift, inside, SOFTPLUS)
            written = step * load(u + t * u_strides[2], inside)
            b_t = load(B + t * B_strides[2], numbers)
            h = tl.exp2(step[None, :] * a) * h + b_t[:, None] * written[None, :]
    grad_a = tl.zeros((PADDED, LANES), tl.float32)
    grad_skip = tl.zeros((LANES,), tl.float32)
    grad_shift = tl.zeros((LANES,), tl.float32)
    sequences = tl.num_programs(0).to(tl.int64) // blocks // segments
    for c in tl.range(0, chunks):
        begin = first + (chunks - 1 - c) * chunk
        end = tl.minimum(begin + chunk, last)
        tl.debug_barrier()  # what one thread has written another may read
        h = load(note + (chunks - 1 - c) * row, square)
        for s in tl.range(begin, end):
            t = visited(s, length, reverse, k)
            step = step_size(load(delta + t * delta_strides[2], inside), shift, inside, SOFTPLUS)
            written = step * load(u + t * u_strides[2], inside)
            b_t = load(B + t * B_strides[2], numbers)
            tl.store(before + (s - begin) * row, h, mask=square)
            h = tl.exp2(step[None, :] * a) * h + b_t[:, None] * written[None, :]
        tl.debug_barrier()
        for back in tl.range(begin, end):
            s = begin + end - 1 - back
            t = visited(s, length, reverse, k)
            raw = load(delta + t * delta_strides[2], inside)
            u_t = load(u + t * u_strides[2], inside)
            dy = load(dout + t * dout_strides[2], inside)
            b_t, c_t = load(B + t * B_strides[2], numbers), load(C + t * C_strides[2], numbers)
            step = step_size(raw, shift, inside, SOFTPLUS)
            written = step * u_t
            decay = tl.exp2(step[None, :] * a)
            decayed = decay * load(before + (s - begin) * row, square)
            g += c_t[:, None] * dy[None, :]
            to_exponent = g * decayed
            grad_a += to_exponent * step[None, :]
            on_written = tl.sum(g * b_t[:, None], 0)
            grad_step = tl.sum(to_exponent * a, 0) * LN2 + on_written * u_t
            if SOFTPLUS:
                grad_step = grad_step * sigmoid(raw + shift)
            grad_skip += dy * u_t
            grad_shift += grad_step
            token = (sequence * length + t) * width + channel
            grad_u = on_written * step + dy * skip
            tl.store(du + token, grad_u.to(du.dtype.element_ty), mask=inside)
            tl.store(ddelta + token, grad_step.to(ddelta.dtype.element_ty), mask=inside)
            partial = ((block * sequences + sequence) * length + t) * N + n
            read = dy[None, :] * (decayed + b_t[:, None] * written[None, :])
            tl.store(dB + partial, tl.sum(g * written[None, :], 1), mask=numbers)
            tl.store(dC + partial, tl.sum(read, 1), mask=numbers)
            g = g * decay
    if WEIGHTS:
        tl.store(dA + corner, grad_a, mask=square)
        tl.store(dD + cell * width + channel, grad_skip, mask=inside)
        tl.store(dbias + cell * width + channel, grad_shift, mask=inside)
