"""Shapes of the scan's arguments: one check and one broadcast for all forms."""

from __future__ import annotations

from torch import Tensor


def check_scan_shapes(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor | None = None,
    D: Tensor | None = None,
    z: Tensor | None = None,
    delta_bias: Tensor | None = None,
) -> None:
    """Raise ValueError naming the first argument whose shape disagrees with ``u`` and ``A``."""
    if u.ndim != 3:
        raise ValueError(f"u must be (b, d, l), got shape {tuple(u.shape)}")
    if A.ndim != 2:
        raise ValueError(f"A must be (d, n), got shape {tuple(A.shape)}")
    b, d, length = u.shape
    n = A.shape[1]
    if length == 0:
        raise ValueError("u must hold at least one token, got l=0")
    _check("delta", delta, b=b, d=d, l=length)
    _check("A", A, d=d, n=n)
    for name, matrix in (("B", B), ("C", C)):
        if matrix is None:
            continue
        if matrix.ndim == 2:
            _check(name, matrix, d=d, n=n)
        elif matrix.ndim == 4:
            groups = matrix.shape[1]
            if groups == 0 or d % groups:
                raise ValueError(
                    f"the groups of {name} (={groups}) must divide the channels of u (={d})"
                )
            _check(name, matrix, b=b, g=groups, n=n, l=length)
        else:
            _check(name, matrix, b=b, n=n, l=length)
    if D is not None:
        _check("D", D, d=d)
    if z is not None:
        _check("z", z, b=b, d=d, l=length)
    if delta_bias is not None:
        _check("delta_bias", delta_bias, d=d)


def grouped(matrix: Tensor, u: Tensor) -> Tensor:
    """B or C in any of its shapes as (b, g, n, l): group j serves channels j·d/g … (j+1)·d/g."""
    if matrix.ndim == 4:
        return matrix
    if matrix.ndim == 3:
        return matrix[:, None]
    return matrix[None, :, :, None].expand(u.shape[0], -1, -1, u.shape[2])


def per_channel(matrix: Tensor, u: Tensor) -> Tensor:
    """B or C in any of its three shapes as (b, d, n, l)."""
    matrix = grouped(matrix, u)
    return matrix.repeat_interleave(u.shape[1] // matrix.shape[1], dim=1)


def _check(name: str, tensor: Tensor, **axes: int) -> None:
    if tuple(tensor.shape) != tuple(axes.values()):
        expected = ", ".join(f"{axis}={size}" for axis, size in axes.items())
        raise ValueError(f"{name} must be ({expected}), got shape {tuple(tensor.shape)}")
