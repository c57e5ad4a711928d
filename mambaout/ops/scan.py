"""The selective scan behind the signature its users know; the device chooses its form."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaout.ops import numba_scan
from mambaout.ops.path_scan import fastest, fused_states
from mambaout.ops.plain_scan import scan_states as plain_scan_states
from mambaout.ops.shapes import check_scan_shapes, grouped


def selective_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor | None = None,
    *,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
    delta_softplus: bool = False,
) -> Tensor:
    """Run the selective state space model along the last axis of ``u``.

    Gu & Dao 2023 (arXiv:2312.00752), eq. 2a-2b with the discretisation of eq. 4::

        h_t = exp(delta_t A) h_{t-1} + delta_t B_t u_t        h_{-1} = 0
        y_t = C_t h_t + D u_t

    ``A`` follows the zero-order hold of eq. 4. ``B`` follows its first-order simplification,
    delta_t B_t, as the authors' own code does; pretrained weights expect it.

    On a CPU the fused Numba kernels run, on a CUDA device those in Triton; on other devices and in
    float64 the time-major torch form. `mambaout.ops.plain_selective_scan` is the same recurrence
    written to be read.

    Args:
        u: input, (b, d, l).
        delta: step size, (b, d, l), positive unless ``delta_softplus``. In units of one scan step.
        A: decay rate, (d, n), negative. Per step, so ``delta * A`` has no unit.
        B: input matrix, (b, n, l), a function of the token; or (b, g, n, l), one for each of g
            contiguous groups of channels; or (d, n), constant.
        C: output matrix, in any of the shapes of ``B``.
        D: skip weight, (d,).
        z: gate, (b, d, l); the result is multiplied by SiLU(z), the skip included.
        delta_bias: (d,), added to ``delta`` first.
        delta_softplus: whether ``delta`` then passes through a softplus.

    Returns:
        y, (b, d, l), in the unit and dtype of ``u``. The state is kept in float32 or wider.

    Raises:
        ValueError: an argument's shape disagrees with that of ``u`` and ``A``.

    A constant input into a state that halves at every step:

    >>> import math
    >>> ones = torch.ones(1, 1, 3)
    >>> y = selective_scan(ones, ones * math.log(2), A=torch.tensor([[-1.0]]), B=ones, C=ones)
    >>> [round(v, 4) for v in (y / math.log(2)).flatten().tolist()]
    [1.0, 1.5, 1.75]
    """
    check_scan_shapes(u, delta, A, B, C, D, z, delta_bias)
    B, C = grouped(B, u), grouped(C, u)
    # B and C may come in different groupings; the finer one serves both.
    groups = max(B.shape[1], C.shape[1])
    B, C = (
        t if t.shape[1] == groups else t.repeat_interleave(groups // t.shape[1], dim=1)
        for t in (B, C)
    )
    d = u.shape[1]
    zero = u.new_zeros(d, dtype=torch.promote_types(u.dtype, torch.float32))
    arguments = (
        _by_path(u, groups),
        _by_path(delta, groups),
        A.unflatten(0, (groups, d // groups)),
        B.permute(1, 0, 3, 2),
        C.permute(1, 0, 3, 2),
        (zero if D is None else D).unflatten(0, (groups, d // groups)),
        (zero if delta_bias is None else delta_bias).unflatten(0, (groups, d // groups)),
        (False,) * groups,
    )
    if numba_scan.supports(u):
        gate = None if z is None else _by_path(z, groups)
        y = numba_scan.scan(*arguments, softplus=delta_softplus, z=gate)
        return y.permute(1, 0, 3, 2).flatten(1, 2)
    y = fastest(u)(*arguments, softplus=delta_softplus).permute(1, 0, 3, 2).flatten(1, 2)
    return y if z is None else (y * F.silu(z.to(y)))


def scan_states(u: Tensor, delta: Tensor, A: Tensor, B: Tensor) -> Tensor:
    """Every hidden state h_t of the scan; arguments as in `selective_scan`.

    Gu & Dao 2023 (arXiv:2312.00752), eq. 2a with the discretisation of eq. 4. Where no gradient is
    asked for, the kernels of `selective_scan` write the states; else torch computes them.

    Args:
        u: input, (b, d, l).
        delta: step size, (b, d, l), after the softplus.
        A: decay rate, (d, n).
        B: input matrix, (b, n, l); or (b, g, n, l); or (d, n).

    Returns:
        h, (b, d, l, n), float32 or wider. ``h[:, :, -1]`` is the last state.

    Raises:
        ValueError: an argument's shape disagrees with that of ``u`` and ``A``.
    """
    needs_gradient = torch.is_grad_enabled() and any(t.requires_grad for t in (u, delta, A, B))
    states = fused_states(u)
    if states is None or needs_gradient:
        return plain_scan_states(u, delta, A, B)
    check_scan_shapes(u, delta, A, B)
    B = grouped(B, u)
    groups = B.shape[1]
    kept: Tensor = states(
        _by_path(u, groups),
        _by_path(delta, groups),
        A.unflatten(0, (groups, A.shape[0] // groups)),
        B.permute(1, 0, 3, 2),
        (False,) * groups,
    )
    return kept.permute(1, 0, 4, 2, 3).flatten(1, 2)


def _by_path(t: Tensor, groups: int) -> Tensor:
    """(b, d, l) → (g, b, l, d/g), a view."""
    paths: Tensor = t.unflatten(1, (groups, t.shape[1] // groups)).permute(1, 0, 3, 2)
    return paths
