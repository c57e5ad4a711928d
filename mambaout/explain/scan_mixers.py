"""Which layers of a model scan, and what they are given: what a trace and a count start from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from functools import partial, singledispatch
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from timm.models.efficientvim import EfficientViM
from timm.models.mambaout import GatedConvBlock, MambaOut
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mambaout.errors import Sentence
from mambaout.models.scan_projection import ScanProjection
from mambaout.ops import ScanInputs


@runtime_checkable
class ScanMixer(Protocol):
    """A token mixer that can say what its scans are given."""

    def scan_inputs(self, x: Tensor, /, *rest: Any) -> list[ScanInputs]:
        """One entry for each path that runs; the arguments are those of the mixer's forward."""


def scans(module: nn.Module) -> bool:
    """Whether ``module`` is a `ScanMixer`."""
    # What isinstance(module, ScanMixer) looks for, a hundred times as fast.
    return callable(getattr(type(module), "scan_inputs", None))


class MixerCall(NamedTuple):
    """One mixer's turn in a forward pass."""

    layer_index: int  # 0 for the first mixer that runs
    name: str  # of the module
    mixer: ScanMixer
    arguments: tuple[Any, ...]  # what it was given, the tokens first

    def scan_inputs(self) -> list[ScanInputs]:
        return self.mixer.scan_inputs(*self.arguments)


def scan_layers(model: nn.Module) -> tuple[str, ...]:
    """The module names of the token mixers of ``model`` that scan, first to last."""
    return tuple(name for name, module in model.named_modules() if scans(module))


def run_mixers(view: nn.Module, image: Tensor) -> list[MixerCall]:
    """Run ``view`` on a picture, and return the calls of its scan mixers in the order they ran.

    Args:
        view: a view of the caller's own (`share_weights`): it is hooked until it has run.
        image: normalised pictures, (b, c, H, W).
    """
    calls: list[MixerCall] = []
    visit_mixers(view, image, calls.append)
    return calls


class _SeenAll(Exception):
    """Every mixer that was asked for has run; the rest of the forward pass would be in vain."""


def visit_mixers(
    view: nn.Module,
    image: Tensor,
    visit: Callable[[MixerCall], None],
    names: Collection[str] | None = None,
) -> None:
    """Run ``view`` on a picture, and call ``visit`` at its scan mixers.

    Each call comes before its mixer runs, and holds the only reference to what the mixer is given:
    what is not kept by ``visit`` is gone before the next layer.

    Args:
        view: a view of the caller's own (`share_weights`): it is hooked until it has run.
        image: normalised pictures, (b, c, H, W).
        visit: takes the call of one mixer; runs in inference mode.
        names: the mixers to visit, of `scan_layers`, after which the run ends; None for all, and
            for the whole forward pass.
    """
    met: list[str] = []

    def note(name: str, mixer: Any, args: tuple[Any, ...]) -> None:
        if names is None or name in names:
            visit(MixerCall(len(met), name, mixer, args))
        met.append(name)
        if names is not None and set(names) <= set(met):
            raise _SeenAll

    mixers = {name: view.get_submodule(name) for name in scan_layers(view)}
    hooks = [m.register_forward_pre_hook(partial(note, name)) for name, m in mixers.items()]
    # What the visitor has had computed, the mixer takes over.
    keeping = [mixer for mixer in mixers.values() if isinstance(mixer, ScanProjection)]
    for mixer in keeping:
        mixer.keeps_projection = True
    try:
        with torch.inference_mode(), contextlib.suppress(_SeenAll):
            view(image)
    finally:
        for hook in hooks:
            hook.remove()
        for mixer in keeping:
            mixer.forget_projection()


@singledispatch
def why_no_scan(model: nn.Module) -> str | None:
    """Why ``model`` has no scan to follow, in words for its user; None if it has one.

    A family that mixes its tokens in another way registers its own words.
    """
    if any(map(scans, model.modules())):
        return None
    return Sentence(
        "{model} has no scan: none of its layers hands a state on between tokens",
        model=type(model).__name__,
    )


@why_no_scan.register
def _(model: MambaOut) -> str:
    first = next(module for module in model.modules() if isinstance(module, GatedConvBlock))
    height, width = first.conv.kernel_size
    return Sentence(
        "MambaOut has no scan: its tokens mix through a {height}x{width} depthwise convolution",
        height=height,
        width=width,
    )


@why_no_scan.register
def _(_model: EfficientViM) -> str:
    return Sentence(
        "EfficientViM has no scan: its states are weighted sums over all tokens at once"
    )


@why_no_scan.register
def _(model: VisionTransformer) -> str:
    return Sentence(
        "{model} has no scan: its tokens mix through self-attention", model=type(model).__name__
    )
