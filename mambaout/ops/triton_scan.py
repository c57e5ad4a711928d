"""The GPU scan as a differentiable torch function; arguments as in `path_scan`.

Triton comes with torch where torch is built for CUDA, and is imported by the first scan on a GPU,
not before.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_LEAST_CAPABILITY = (7, 0)  # of an NVIDIA GPU that Triton compiles for


def supports(u: Tensor) -> bool:
    """Whether the kernels, which compute in float32 on a GPU, can stand in for torch."""
    if u.device.type != "cuda" or u.dtype not in _DTYPES:
        return False
    # What torch compiles for a GPU is Triton's, so that question has its answer.
    return torch.compiler.is_compiling() or _why_not(u.device) is None


def scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    reverse: Sequence[bool],
    *,
    softplus: bool,
) -> Tensor:
    """`path_scan` on a GPU; ``softplus`` says whether ``delta`` still has to pass through one."""
    if torch.compiler.is_compiling() or type(u) not in {Tensor, torch.nn.Parameter}:
        # Whoever traces, or brings tensors without numbers, is given one opaque operation.
        y: Tensor = triton_scan(u, delta, A, B, C, D, delta_bias, list(reverse), softplus)
    else:
        y = _Scan.apply(u, delta, A, B, C, D, delta_bias, tuple(reverse), softplus)
    return y


def states(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, reverse: Sequence[bool]) -> Tensor:
    """Every hidden state, (k, b, l, n, d) in memory order; ``delta`` is after the softplus.

    Not differentiable. Arguments as in `path_scan`.
    """
    kept: Tensor = _launch().states(*(t.detach() for t in (u, delta, A, B)), reverse)
    return kept


def summary(
    u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, reverse: Sequence[bool]
) -> Tensor:
    """Σ exp(Δ_t A) over (n, d), ‖h_t‖² and ‖C_t h_t‖² of every token, (3, k, b, l), no states kept.

    Not differentiable. Arguments as in `states`.
    """
    sums: Tensor = _launch().summary(*(t.detach() for t in (u, delta, A, B, C)), reverse)
    return sums


def _launch() -> Any:
    from mambaout.ops import triton_launch

    return triton_launch


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(
        u: Tensor,
        delta: Tensor,
        A: Tensor,
        B: Tensor,
        C: Tensor,
        D: Tensor,
        delta_bias: Tensor,
        reverse: tuple[bool, ...],
        softplus: bool,
    ) -> Tensor:
        y: Tensor = _launch().forward(u, delta, A, B, C, D, delta_bias, reverse, softplus)
        return y

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG004
        ctx.save_for_backward(*inputs[:7])
        ctx.reverse, ctx.softplus = inputs[7:]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        return _ordered(_launch().gradients, ctx, dout)


def _ordered(gradients: Any, ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
    """Gradients in the order of the arguments; those of A, D and delta_bias only if asked for."""
    weights = any(ctx.needs_input_grad[i] for i in (2, 5, 6))
    du, ddelta, dB, dC, *rest = gradients(
        dout, *ctx.saved_tensors, ctx.reverse, ctx.softplus, weights
    )
    dA, dD, dbias = rest if weights else (None, None, None)
    return du, ddelta, dA, dB, dC, dD, dbias, None, None


@torch.library.custom_op("mambaout::triton_scan", mutates_args=())
def triton_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    reverse: Sequence[bool],
    softplus: bool,
) -> Tensor:
    y: Tensor = _launch().forward(u, delta, A, B, C, D, delta_bias, reverse, softplus)
    return y


@torch.library.custom_op("mambaout::triton_scan_backward", mutates_args=())
def triton_scan_backward(
    dout: Tensor,
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    reverse: Sequence[bool],
    softplus: bool,
    weights: bool,
) -> list[Tensor]:
    arguments = (dout, u, delta, A, B, C, D, delta_bias, reverse, softplus, weights)
    return list(_launch().gradients(*arguments))


@triton_scan.register_fake
def _(u: Tensor, *_: Any) -> Tensor:
    return u.new_empty(u.shape)


@triton_scan_backward.register_fake
def _(
    dout: Tensor,  # noqa: ARG001 - the operation's own arguments
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
    reverse: Sequence[bool],  # noqa: ARG001
    softplus: bool,  # noqa: ARG001
    weights: bool,
) -> list[Tensor]:
    found = (u, delta, B, C, A, D, delta_bias) if weights else (u, delta, B, C)
    return [t.new_empty(t.shape) for t in found]


def _opaque_backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
    return _ordered(triton_scan_backward, ctx, dout)


triton_scan.register_autograd(_opaque_backward, setup_context=_Scan.setup_context)


@cache
def _why_not(device: torch.device) -> str | None:
    """What keeps Triton's kernels from this GPU; said once, since plain torch is far slower."""
    reason = None
    if find_spec("triton") is None:
        reason = "Triton is not installed"
    elif torch.cuda.is_available():  # if not, the tensors are stand-ins and nothing will run
        capability = torch.cuda.get_device_capability(device)
        if torch.version.hip is None and capability < _LEAST_CAPABILITY:
            reason = f"it has compute capability {'.'.join(map(str, capability))}, Triton needs 7.0"
        elif not (os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang")):
            reason = "Triton builds its launcher with a C compiler and there is no gcc or clang"
    if reason is not None:
        warnings.warn(
            f"The selective scan on {device} runs in plain torch, many times slower: {reason}.",
            stacklevel=4,
        )
    return reason
