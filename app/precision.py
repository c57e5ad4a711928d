"""In which precision a model answers: checked when it is loaded, on pictures that everybody has."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from PIL import Image

from app.examples import examples

if TYPE_CHECKING:
    import torch
    from torch import nn

PrecisionPolicy = Literal["auto", "float32", "bfloat16"]

TOLERANCE = 0.02  # that a probability may be off by, where the first answer stays
_RUNS = 7


@dataclass(frozen=True)
class Precision:
    """What was chosen for a model, and why.

    Attributes:
        name: "float32" or "bfloat16".
        checked: answers that were compared: to each example picture, in each mixing.
        changed: those that bfloat16 would change: the first class, or a probability by more than
            `TOLERANCE`.
        off: by what a probability of the others is off at most.
        slow: bfloat16 was right, and not faster.
    """

    name: Literal["float32", "bfloat16"] = "float32"
    checked: int = 0
    changed: int = 0
    off: float = 0.0
    slow: bool = False

    @property
    def dtype(self) -> torch.dtype | None:
        """For `mambaout.evaluation.comparison.probabilities`."""
        import torch

        return torch.bfloat16 if self.name == "bfloat16" else None


FULL = Precision()


class Subject(Protocol):
    """A loaded model."""

    @property
    def device(self) -> str:
        """Where it is."""

    def views(self) -> list[nn.Module]:
        """The model in every mixing that it has."""

    def input_of(self, picture: Image.Image) -> torch.Tensor:
        """The picture as it takes it, (1, 3, side, side), on its device."""


def choose_precision(policy: PrecisionPolicy, model: Subject) -> Precision:
    """The precision for a model's answers.

    bfloat16 is taken where it keeps every first answer to the example pictures, and every
    probability within `TOLERANCE`. "auto" asks that question only on a CUDA device which computes
    in bfloat16, and wants it to be faster there, too.

    Args:
        policy: what whoever started the page wants.
        model: the model.
    """
    if policy == "float32" or (policy == "auto" and not _computes_in_half(model.device)):
        return FULL
    images, views = [model.input_of(example.open()) for example in examples()], model.views()
    if not images:
        return FULL
    moved = [_moved(view, image) for view in views for image in images]
    kept = [by for by in moved if by <= TOLERANCE]
    found = Precision(checked=len(moved), changed=len(moved) - len(kept), off=max(kept, default=0))
    if found.changed:
        return found
    if policy == "auto" and not _faster(views[0], images[0]):
        return replace(found, slow=True)
    return replace(found, name="bfloat16")


def _computes_in_half(device: str) -> bool:
    import torch

    return device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _moved(view: nn.Module, image: torch.Tensor) -> float:
    """By what a probability moves in bfloat16 at most; infinite where the first class changes."""
    import torch

    from mambaout.evaluation.comparison import probabilities

    [full], [half] = (probabilities(view, image, dtype) for dtype in (None, torch.bfloat16))
    return float(np.abs(full - half).max()) if full.argmax() == half.argmax() else np.inf


def _faster(view: nn.Module, image: torch.Tensor) -> bool:
    """Whether bfloat16 takes less time, the best of several in turns."""
    import torch

    from mambaout.evaluation.comparison import probabilities

    full: list[float] = []
    half: list[float] = []
    for _ in range(_RUNS):
        for dtype, times in ((None, full), (torch.bfloat16, half)):
            start = time.perf_counter()
            probabilities(view, image, dtype)  # on the CPU in the end, so nothing is left running
            times.append(time.perf_counter() - start)
    return min(half) < min(full)
