"""What every selective scan of a model does at every token: how much it keeps, writes and reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from mambaout.errors import ExplanationError, Sentence
from mambaout.explain.base import check_picture, find_tokens, lay_out
from mambaout.explain.on_tokens import OnTokens
from mambaout.explain.scan_mixers import MixerCall, scan_layers, visit_mixers, why_no_scan
from mambaout.explain.views import lent_view
from mambaout.models import TokenGrid, share_weights
from mambaout.ops import ScanInputs
from mambaout.ops.scan_summary import scan_summary
from mambaout.ops.state_components import state_components


@dataclass(frozen=True, eq=False)
class Components:
    """Where the states of a path lie along the directions in which they vary most.

    A principal component analysis of h_t over the steps of the scan, with all channels of the state
    for coordinates: `mambaout.ops.state_components`.
    """

    scores: np.ndarray  # (l, 3) float32, in scan order; norm of the state; the mean state is zero
    explained: np.ndarray  # (3,) float32: each component's share of the variance of the states


@dataclass(frozen=True, eq=False)
class PathTrace(OnTokens):
    """One scan path of one layer, token by token, in the order of the scan.

    With Δ_t (d,), A (d, n), B_t and C_t (n,), u_t (d,) as in `mambaout.ops.selective_scan`, and
    the recurrence of Gu & Dao 2023 (arXiv:2312.00752), eq. 2a-2b with the discretisation of eq. 4::

        h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t u_t        h_{-1} = 0
        y_t = C_t h_t + D u_t

    Each quantity is (l,) float32. ``state_norm`` and ``read`` are those of h_t, after token t has
    written. Where a gate multiplies the scan's output, several paths may share it.
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
    gate: np.ndarray | None = None  # mean over d of |SiLU(z_t)|: 0 lets nothing pass; None: no gate
    channel: int | None = None  # the one channel d that all this is about; None for all of them
    components: Components | None = None  # only where they were asked for
    channels: tuple[PathTrace, ...] = ()  # traces of the single channels that were asked for

    units: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "delta": "scan steps",
            "retention": "share of the state kept",
            "half_life": "tokens",
            "state_norm": "norm of the state",
            "write": "norm of the state",
            "read": "norm of the scan's output",
            "gate": "factor on the scan's output",
        }
    )

    def components_on_grid(self) -> np.ndarray:
        """The scores of the state's principal components as a picture, (h, w, 3); see `on_grid`.

        Raises:
            ValueError: they were not asked for.
        """
        if self.components is None:
            raise ValueError("expected a trace with components: ask scan_trace(components=True)")
        return self._patches(self.components.scores)


class ScanTrace(tuple[PathTrace, ...]):
    """All scan paths of a model on one picture: layer by layer, and in each layer path by path."""

    __slots__ = ()


def scan_trace(
    model: nn.Module,
    image: Tensor,
    *,
    layers: Collection[str] | None = None,
    paths: Collection[str] | None = None,
    channels: Sequence[int] = (),
    components: bool = False,
) -> ScanTrace:
    """Follow every selective scan of ``model`` through one picture.

    The model runs once, as a view and as far as the last of ``layers``: ``model`` is left as it was
    found, and several threads may trace it at the same time. No states are kept, and no layer's
    tokens longer than its turn: beside the forward pass, memory grows with the tokens of one layer
    and not with its states.

    Args:
        model: a model whose mixers have ``scan_inputs``; a causal view has its forward path only.
        image: one normalised picture, (1, c, H, W).
        layers: the mixers to trace, of `scan_layers`; None for all.
        paths: the paths to trace in these layers; None for all.
        channels: single channels d, 0 … d-1, to trace beside all together: `PathTrace.channels`.
        components: whether to find the principal components of the states, which costs several
            times as much as all other numbers.

    Raises:
        ExplanationError: the model has no scan (`why_no_scan` says why); there is no such layer,
            path or channel; a state is not finite.
    """
    reason = why_no_scan(model)
    if reason is not None:
        raise ExplanationError(reason)
    check_picture(image)
    known = scan_layers(model)
    if layers is not None and (not layers or not set(layers) <= set(known)):
        raise ExplanationError(f"layers must be some of {', '.join(known)}, got {list(layers)}")
    tokens = find_tokens(model)
    traces: list[PathTrace] = []
    met: set[str] = set()

    def follow(call: MixerCall) -> None:
        for inputs in call.scan_inputs():
            met.add(inputs.path)
            if paths is None or inputs.path in paths:
                grid = inputs.grid or _grid_of(call.arguments[0], tokens)
                place = _Place(call.name, call.layer_index, grid, tokens.class_token_index)
                traces.extend(_path_traces(inputs, place, channels, components))

    with lent_view(model, _quiet_view) as view:
        visit_mixers(view, image, follow, layers)
    if paths is not None and (not paths or not set(paths) <= met):
        raise ExplanationError(f"paths must be some of {', '.join(sorted(met))}, got {list(paths)}")
    return ScanTrace(traces)


def _quiet_view(model: nn.Module) -> nn.Module:
    return share_weights(model).eval()


def _grid_of(x: Tensor, tokens: TokenGrid) -> tuple[int, int]:
    """The grid (h, w) of a mixer's input: in the shape of a map, known beforehand of a sequence."""
    height, width = lay_out(tokens, x).shape[2:]
    return height, width


class _Place(NamedTuple):
    """Where in a model a scan is."""

    layer: str
    layer_index: int
    grid: tuple[int, int]
    class_token_index: int | None


def _path_traces(
    inputs: ScanInputs, place: _Place, channels: Sequence[int], components: bool
) -> Iterator[PathTrace]:
    """The trace of one path; several where a mixer takes windows of the picture for a batch."""
    n_channels = inputs.u.shape[1]
    if not all(0 <= channel < n_channels for channel in channels):
        raise ExplanationError(
            f"channels of {place.layer} must be 0 to {n_channels - 1}, got {list(channels)}"
        )
    quantities = _quantities(inputs)
    # The last state holds all that came before it. A half-life may be infinite: a step of zero.
    if not quantities["state_norm"][:, -1].isfinite().all():
        raise ExplanationError(
            Sentence(
                "the {path} scan of {layer} reaches states that are infinite or not a number: "
                "check the model's weights",
                path=inputs.path,
                layer=place.layer,
            )
        )
    windows = len(inputs.u)
    found = [None] * windows if not components else list(_components(inputs))
    of_channels = {channel: _quantities(_one_channel(inputs, channel)) for channel in channels}
    for i in range(windows):
        whole = PathTrace(
            **place._asdict(),
            path=inputs.path if windows == 1 else f"{inputs.path}, window {i + 1} of {windows}",
            order=inputs.order.numpy(force=True),
            components=found[i],
            **_of_window(quantities, i),
        )
        single = [
            replace(whole, channel=channel, components=None, **_of_window(numbers, i))
            for channel, numbers in of_channels.items()
        ]
        yield replace(whole, channels=tuple(single))


def _quantities(inputs: ScanInputs) -> dict[str, Tensor]:
    """The `units` of a path that it has, (b, l) each."""
    quantities: dict[str, Tensor] = scan_summary(inputs)._asdict()
    if inputs.z is not None:
        quantities["gate"] = F.silu(inputs.z.float()).abs().mean(1)
    return quantities


def _one_channel(inputs: ScanInputs, channel: int) -> ScanInputs:
    """The same scan in one of its channels, which do not see each other."""
    only = slice(channel, channel + 1)
    return replace(
        inputs,
        u=inputs.u[:, only],
        delta=inputs.delta[:, only],
        A=inputs.A[only],
        D=inputs.D[only],
        z=None if inputs.z is None else inputs.z[:, only],
    )


def _of_window(quantities: dict[str, Tensor], index: int) -> dict[str, Any]:
    return {name: t[index].float().numpy(force=True) for name, t in quantities.items()}


def _components(inputs: ScanInputs) -> Iterator[Components]:
    scores, explained = (t.float().numpy(force=True) for t in state_components(inputs))
    return map(Components, scores, explained)
