"""The selective scan on a GPU, forward: one warp a program, one channel a lane.

A program has 32 channels of one path of one picture and walks through a segment of the tokens. Its
(n, lanes) state stays in registers with all n of a channel in one lane, so that C_t h_t needs no
exchange between lanes; B_t and C_t are loaded once for 32 channels. exp(ΔA) is never written to
memory, and no quotient of exponentials is ever taken.

Where there are too few programs to fill the device, the tokens are cut into segments:
`segment_ends` scans each from zero, `carry` hands every segment the state it starts from, and the
scan itself runs in all of them at once.

Tensors: u, delta (k, b, l, d), B, C (k, b, l, n), of any strides but the last, which is 1; A2 =
A·log2(e) (k, n, d), D, bias (k, d), starts (k, b, segments, n, d), sums (k, b, segments, d) in
float32. ``width`` is d. It is not specialised: knowing that rows are aligned, the compiler would
give four channels to a lane and spread n over lanes.
"""

from __future__ import annotations

import triton
import triton.language as tl

from mambaout.ops.triton_math import base, load, step_size, visited

GROUP = tl.constexpr(4)  # tokens loaded together, ahead of the arithmetic that waits for them
STAGES = tl.constexpr(2)  # groups under way


@triton.jit
def place(segments, blocks, batch):
    """(path, picture, path and picture, segment, block of channels) of this program."""
    program = tl.program_id(0).to(tl.int64)
    block = program % blocks
    segment = program // blocks % segments
    sequence = program // blocks // segments
    return sequence // batch, sequence % batch, sequence, segment, block


@triton.jit(do_not_specialize=["reverse", "width"])
def segment_ends(
    u, delta, A2, B, C, bias, dout, ends, adjoint_ends, sums,
    u_strides, delta_strides, B_strides, C_strides, dout_strides,
    batch, length, segments, tokens, blocks, width, reverse,
    N: tl.constexpr, PADDED: tl.constexpr, LANES: tl.constexpr,
    SOFTPLUS: tl.constexpr, ADJOINT: tl.constexpr,
):  # fmt: skip
    """What a segment adds to the state behind it, and the sum of its steps.

    With ``ADJOINT`` also what it adds to the gradient of the state before it: the sum over t of
    exp(A (Δ_first + … + Δ_t)) C_t dy_t, whose exponential the running product ``decayed`` is.
    """
    k, i, sequence, segment, block = place(segments, blocks, batch)
    channel = block * LANES + tl.arange(0, LANES)
    n = tl.arange(0, PADDED)
    inside, numbers = channel < width, n < N
    square = numbers[:, None] & inside[None, :]
    a = load(A2 + (k * N + n[:, None]) * width + channel[None, :], square)
    shift = load(bias + k * width + channel, inside)
    u, delta = base(u, u_strides, k, i) + channel, base(delta, delta_strides, k, i) + channel
    B, C = base(B, B_strides, k, i) + n, base(C, C_strides, k, i) + n
    dout = base(dout, dout_strides, k, i) + channel
    h = tl.zeros((PADDED, LANES), tl.float32)
    adjoint = tl.zeros((PADDED, LANES), tl.float32)
    decayed = tl.full((PADDED, LANES), 1.0, tl.float32)
    total = tl.zeros((LANES,), tl.float32)
    first = segment.to(tl.int32) * tokens
    last = tl.minimum(first + tokens, length)
    for s0 in tl.range(first, last, GROUP, num_stages=STAGES):
        loaded = ()
        for j in tl.static_range(GROUP):
            t = visited(s0 + j, length, reverse, k)
            here = inside & (s0 + j < last)
            there = numbers & (s0 + j < last)
            raw = load(delta + t * delta_strides[2], here)
            u_t = load(u + t * u_strides[2], here)
            b_t = load(B + t * B_strides[2], there)
            loaded = loaded + ((raw, u_t, b_t, here),)
        for j in tl.static_range(GROUP):
            raw, u_t, b_t, here = loaded[j]
            step = step_size(raw, shift, here, SOFTPLUS)
            decay = tl.exp2(step[None, :] * a)
            h = decay * h + b_t[:, None] * (step * u_t)[None, :]
            total += step
            if ADJOINT:
                t = visited(s0 + j, length, reverse, k)
                dy = load(dout + t * dout_strides[2], here)
                c_t = load(C + t * C_strides[2], numbers & (s0 + j < last))
                decayed = decayed * decay
                adjoint += decayed * (c_t[:, None] * dy[None, :])
    cell = sequence * segments + segment
    tl.store(ends + (cell * N + n[:, None]) * width + channel[None, :], h, mask=square)
    if ADJOINT:
        corner = adjoint_ends + (cell * N + n[:, None]) * width + channel[None, :]
        tl.store(corner, adjoint, mask=square)
    tl.store(sums + cell * width + channel, total, mask=inside)


@triton.jit(do_not_specialize=["width"])
def carry(
    ends, adjoint_ends, sums, A2,
    batch, segments, blocks, width, N: tl.constexpr, LANES: tl.constexpr,
):  # fmt: skip
    """Replace what each segment adds by what it starts from: h before it, or the gradient behind.

    The second axis of the grid is the direction: 0 for states, 1 for the adjoint. ``blocks`` is
    that of channels; n comes next in the program's number.
    """
    program = tl.program_id(0).to(tl.int64)
    adjoint = tl.program_id(1)
    channel = program % blocks * LANES + tl.arange(0, LANES)
    n = program // blocks % N
    sequence = program // blocks // N
    inside = channel < width
    a = load(A2 + (sequence // batch * N + n) * width + channel, inside)
    target = ends if adjoint == 0 else adjoint_ends
    h = tl.zeros((LANES,), tl.float32)
    for step in tl.range(0, segments, num_stages=4):
        segment = tl.where(adjoint == 0, step, segments - 1 - step)
        cell = sequence * segments + segment
        place_of_end = target + (cell * N + n) * width + channel
        end = load(place_of_end, inside)
        total = load(sums + cell * width + channel, inside)
        tl.store(place_of_end, h, mask=inside)
        h = tl.exp2(total * a) * h + end


@triton.jit(do_not_specialize=["reverse", "width"])
def scan(
    u, delta, A2, B, C, D, bias, starts, out, states,
    u_strides, delta_strides, B_strides, C_strides,
    batch, length, segments, tokens, blocks, width, reverse,
    N: tl.constexpr, PADDED: tl.constexpr, LANES: tl.constexpr,
    SOFTPLUS: tl.constexpr, STARTS: tl.constexpr, STATES: tl.constexpr,
):  # fmt: skip
    """y, (k, b, l, d); or, with ``STATES``, every state instead, (k, b, l, n, d)."""
    k, i, sequence, segment, block = place(segments, blocks, batch)
    channel = block * LANES + tl.arange(0, LANES)
    n = tl.arange(0, PADDED)
    inside, numbers = channel < width, n < N
    square = numbers[:, None] & inside[None, :]
    a = load(A2 + (k * N + n[:, None]) * width + channel[None, :], square)
    shift, skip = load(bias + k * width + channel, inside), load(D + k * width + channel, inside)
    u, delta = base(u, u_strides, k, i) + channel, base(delta, delta_strides, k, i) + channel
    B, C = base(B, B_strides, k, i) + n, base(C, C_strides, k, i) + n
    if STARTS:
        cell = sequence * segments + segment
        h = load(starts + (cell * N + n[:, None]) * width + channel[None, :], square)
    else:
        h = tl.zeros((PADDED, LANES), tl.float32)
    first = segment.to(tl.int32) * tokens
    last = tl.minimum(first + tokens, length)
    for s0 in tl.range(first, last, GROUP, num_stages=STAGES):
        loaded = ()
        for j in tl.static_range(GROUP):
            t = visited(s0 + j, length, reverse, k)
            here = inside & (s0 + j < last)
            there = numbers & (s0 + j < last)
            raw = load(delta + t * delta_strides[2], here)
            u_t = load(u + t * u_strides[2], here)
            b_t = load(B + t * B_strides[2], there)
            c_t = load(C + t * C_strides[2], there)
            loaded = loaded + ((raw, u_t, b_t, c_t, here),)
        results = ()
        for j in tl.static_range(GROUP):
            raw, u_t, b_t, c_t, here = loaded[j]
            step = step_size(raw, shift, here, SOFTPLUS)
            h = tl.exp2(step[None, :] * a) * h + b_t[:, None] * (step * u_t)[None, :]
            if STATES:
                results = results + (h,)
            else:
                results = results + (tl.sum(h * c_t[:, None], 0) + skip * u_t,)
        # Stores last: a load is not moved across a store that might overwrite what it reads.
        for j in tl.static_range(GROUP):
            token = sequence * length + visited(s0 + j, length, reverse, k)
            if STATES:
                row = states + (token * N + n[:, None]) * width + channel[None, :]
                tl.store(row, results[j], mask=square & (s0 + j < last))
            else:
                y = results[j].to(out.dtype.element_ty)
                tl.store(out + token * width + channel, y, mask=inside & (s0 + j < last))


@triton.jit(do_not_specialize=["reverse", "width"])
def summarise(
    u, delta, A2, B, C, starts, out,
    u_strides, delta_strides, B_strides, C_strides,
    batch, length, segments, tokens, blocks, width, reverse,
    N: tl.constexpr, PADDED: tl.constexpr, LANES: tl.constexpr, STARTS: tl.constexpr,
):  # fmt: skip
    """This block's share of Σ exp(Δ_t A), ‖h_t‖² and ‖C_t h_t‖², (3, blocks, k, b, l)."""
    k, i, sequence, segment, block = place(segments, blocks, batch)
    channel = block * LANES + tl.arange(0, LANES)
    n = tl.arange(0, PADDED)
    inside, numbers = channel < width, n < N
    square = numbers[:, None] & inside[None, :]
    a = load(A2 + (k * N + n[:, None]) * width + channel[None, :], square)
    u, delta = base(u, u_strides, k, i) + channel, base(delta, delta_strides, k, i) + channel
    B, C = base(B, B_strides, k, i) + n, base(C, C_strides, k, i) + n
    if STARTS:
        cell = sequence * segments + segment
        h = load(starts + (cell * N + n[:, None]) * width + channel[None, :], square)
    else:
        h = tl.zeros((PADDED, LANES), tl.float32)
    sequences = tl.num_programs(0).to(tl.int64) // blocks // segments
    first = segment.to(tl.int32) * tokens
    last = tl.minimum(first + tokens, length)
    for s in tl.range(first, last):
        t = visited(s, length, reverse, k)
        step = load(delta + t * delta_strides[2], inside)
        u_t = load(u + t * u_strides[2], inside)
        b_t, c_t = load(B + t * B_strides[2], numbers), load(C + t * C_strides[2], numbers)
        decay = tl.exp2(step[None, :] * a)
        h = decay * h + b_t[:, None] * (step * u_t)[None, :]
        read = tl.sum(h * c_t[:, None], 0)
        row = out + (block * sequences + sequence) * length + t
        apart = blocks * sequences * length
        tl.store(row, tl.sum(tl.sum(tl.where(square, decay, 0.0), 0), 0))
        tl.store(row + apart, tl.sum(tl.sum(h * h, 0), 0))
        tl.store(row + 2 * apart, tl.sum(read * read, 0))
