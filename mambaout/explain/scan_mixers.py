"""Which layers of a model scan, and what they are given: what a trace and a count start from."""

from __future__ import annotations

from functools import partial, singledispatch
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from timm.models.efficientvim import EfficientViM
from timm.models.mambaout import GatedConvBlock, MambaOut
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mambaout.ops import ScanInputs


@runtime_checkable
class ScanMixer(Protocol):
    """A token mixer that can say what its scans are given."""

    def scan_inputs(self, x: Tensor, /, *rest: Any) -> list[ScanInputs]:
        """One entry for each path that runs; the arguments are those of the mixer's forward."""


def scans(module: nn.Module) -> bool:
    """Whether ``module`` is a `ScanMixer`."""
    return isinstance(module, ScanMixer)


class MixerCall(NamedTuple):
    """One mixer's turn in a forward pass."""

    name: str  # of the module
    mixer: ScanMixer
    arguments: tuple[Any, ...]  # what it was given, the tokens first

    def scan_inputs(self) -> list[ScanInputs]:
        return self.mixer.scan_inputs(*self.arguments)


def run_mixers(view: nn.Module, image: Tensor) -> list[MixerCall]:
    """Run ``view`` on a picture, and return the calls of its scan mixers in the order they ran.

    Args:
        view: a view of the caller's own (`share_weights`): it is hooked, and stays hooked.
        image: normalised pictures, (b, c, H, W).
    """
    calls: list[MixerCall] = []

    def note(name: str, mixer: Any, args: tuple[Any, ...]) -> None:
        calls.append(MixerCall(name, mixer, args))

    for name, module in view.named_modules():
        if scans(module):
            module.register_forward_pre_hook(partial(note, name))
    with torch.inference_mode():
        view(image)
    return calls


@singledispatch
def why_no_scan(model: nn.Module) -> str | None:
    """Why ``model`` has no scan to follow, in words for its user; None if it has one.

    A family that mixes its tokens in another way registers its own words.
    """
    if any(map(scans, model.modules())):
        return None
    return f"{type(model).__name__} has no scan: none of its layers hands a state on between tokens"


@why_no_scan.register
def _(model: MambaOut) -> str:
    first = next(module for module in model.modules() if isinstance(module, GatedConvBlock))
    height, width = first.conv.kernel_size
    return f"MambaOut has no scan: its tokens mix through a {height}x{width} depthwise convolution"


@why_no_scan.register
def _(_model: EfficientViM) -> str:
    return "EfficientViM has no scan: its states are weighted sums over all tokens at once"


@why_no_scan.register
def _(model: VisionTransformer) -> str:
    return f"{type(model).__name__} has no scan: its tokens mix through self-attention"
