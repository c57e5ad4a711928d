"""What every selective scan of a model does at every token: how much it keeps, writes and reads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from mambaout.errors import ExplanationError
from mambaout.explain.base import check_picture, find_tokens, lay_out
from mambaout.explain.scan_mixers import run_mixers, why_no_scan
from mambaout.models import TokenGrid, share_weights
from mambaout.ops import ScanInputs
from mambaout.ops.scan_summary import scan_summary


@dataclass(frozen=True, eq=False)
class PathTrace:
    """One scan path of one layer, token by token, in the order of the scan.

    With Δ_t (d,), A (d, n), B_t and C_t (n,), u_t (d,) as in `mambaout.ops.selective_scan`, and
    the recurrence of Gu & Dao 2023 (arXiv:2312.00752), eq. 2a-2b with the discretisation of eq. 4::

        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t        h_{-1} = 0
        y_t = C_t h_t + D u_t

    Each quantity is (l,) float32. ``state_norm`` and ``read`` are those of h_t, after token t has
    written.
    """

    layer: str  # the mixer's module name
    layer_index: int  # 0 for the first mixer that runs
    path: str  # "forward", "backward", …
    order: np.ndarray  # (l,) int64; order[t] is the token-axis position visited at step t
    grid: tuple[int, int]  # (h, w) of the layer's patches
    class_token_index: int | None  # the position on the token axis that is no patch
    delta: np.ndarray  # mean over d of Δ_t
    retention: np.ndarray  # mean over (d, n) of exp(Δ_t A): 0 forgets all, 1 keeps all
    half_life: np.ndarray  # ln 2 / mean over (d, n) of Δ_t |A|
    state_norm: np.ndarray  # ‖h_t‖₂ over (d, n)
    write: np.ndarray  # ‖Δ_t B_t u_t‖₂ over (d, n)
    read: np.ndarray  # ‖C_t h_t‖₂ over d: the state's share of y_t, before skip and gate

    units: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "delta": "scan steps",
            "retention": "share of the state kept",
            "half_life": "tokens",
            "state_norm": "norm of the state",
            "write": "norm of the state",
            "read": "norm of the scan's output",
        }
    )

    def on_grid(self, quantity: str) -> np.ndarray:
        """One of the `units` as a picture, (h, w) in raster order, the class token left out.

        NaN where the path does not come by.
        """
        height, width = self.grid
        values = self._by_position(quantity, height * width)
        if self.class_token_index is not None:
            values = np.delete(values, self.class_token_index)
        return values.reshape(height, width)

    def class_token(self, quantity: str) -> float | None:
        """One of the `units` at the class token; None if the layer has none."""
        if self.class_token_index is None:
            return None
        height, width = self.grid
        return float(self._by_position(quantity, height * width)[self.class_token_index])

    def _by_position(self, quantity: str, n_patches: int) -> np.ndarray:
        if quantity not in self.units:
            raise ValueError(f"quantity must be one of {', '.join(self.units)}, got {quantity!r}")
        n_tokens = n_patches + (self.class_token_index is not None)
        values = np.full(n_tokens, np.nan, np.float32)
        # A step at a later position is at no token: it fills up a window.
        at_token = self.order < n_tokens
        values[self.order[at_token]] = getattr(self, quantity)[at_token]
        return values


class ScanTrace(tuple[PathTrace, ...]):
    """All scan paths of a model on one picture: layer by layer, and in each layer path by path."""

    __slots__ = ()


def scan_trace(model: nn.Module, image: Tensor) -> ScanTrace:
    """Follow every selective scan of ``model`` through one picture.

    The model runs once, as a view: ``model`` is left as it was found, and several threads may trace
    it at the same time.

    Args:
        model: a model whose mixers have ``scan_inputs``; a causal view has its forward path only.
        image: one normalised picture, (1, c, H, W).

    Raises:
        ExplanationError: the model has no scan (`why_no_scan` says why), or a state is not finite.
    """
    reason = why_no_scan(model)
    if reason is not None:
        raise ExplanationError(reason)
    check_picture(image)
    tokens = find_tokens(model)
    calls = run_mixers(share_weights(model).eval(), image)
    traces: list[PathTrace] = []
    with torch.inference_mode():
        for index, call in enumerate(calls):
            for inputs in call.scan_inputs():
                grid = inputs.grid or _grid_of(call.arguments[0], tokens)
                traces += _path_traces(inputs, call.name, index, grid, tokens.class_token_index)
    return ScanTrace(traces)


def _grid_of(x: Tensor, tokens: TokenGrid) -> tuple[int, int]:
    """The grid (h, w) of a mixer's input: in the shape of a map, known beforehand of a sequence."""
    height, width = lay_out(tokens, x).shape[2:]
    return height, width


def _path_traces(
    inputs: ScanInputs,
    layer: str,
    layer_index: int,
    grid: tuple[int, int],
    class_token_index: int | None,
) -> Iterator[PathTrace]:
    """The trace of one path; several where a mixer takes windows of the picture for a batch."""
    u, delta, A, B = (t.float() for t in (inputs.u, inputs.delta, inputs.A, inputs.B))
    quantities = {
        "delta": delta.mean(1),
        "half_life": math.log(2) / -(delta * A.mean(1)[:, None]).mean(1),
        # Δ_t B_t u_t is an outer product: its norm is the product of two norms.
        "write": (delta * u).norm(dim=1) * B.norm(dim=1),
        **scan_summary(inputs)._asdict(),
    }
    # The last state holds all that came before it. A half-life may be infinite: a step of zero.
    if not quantities["state_norm"][:, -1].isfinite().all():
        raise ExplanationError(
            f"the {inputs.path} scan of {layer} reaches states that are infinite or not a number: "
            "check the model's weights"
        )
    order = inputs.order.numpy(force=True)
    arrays = {name: values.float().numpy(force=True) for name, values in quantities.items()}
    windows = len(inputs.u)
    for i in range(windows):
        yield PathTrace(
            layer=layer,
            layer_index=layer_index,
            path=inputs.path if windows == 1 else f"{inputs.path}, window {i + 1} of {windows}",
            order=order,
            grid=grid,
            class_token_index=class_token_index,
            **{name: values[i] for name, values in arrays.items()},
        )
