"""The class activation maps on offer: each one's formula, unit, and what to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


def _positive_part(values: np.ndarray) -> np.ndarray:
    return values.clip(min=0)


def _unchanged(values: np.ndarray) -> np.ndarray:
    return values


def _largest_positive(values: np.ndarray) -> np.ndarray:
    return -values if -values.min() > values.max() else values


@dataclass(frozen=True)
class CamMethod:
    """One way to a map: the class in pytorch-grad-cam, and how to read its numbers."""

    title: str
    library_class: str  # its name in `pytorch_grad_cam`
    unit: str
    finish: Callable[[np.ndarray], np.ndarray]  # the last step of the method's own formula
    signed: bool
    caveat: str
    per_class: bool = True  # False: the same map for every class
    contrast: bool = False  # explains the class against another one, also if none was named
    masks: bool = False  # asks the model again, with the picture masked by each channel


METHODS: dict[str, CamMethod] = {
    # Selvaraju et al. 2017, arXiv:1610.02391, eq. 1 and 2.
    "gradcam": CamMethod(
        title="Grad-CAM",
        library_class="GradCAM",
        unit="logit, by gradients averaged over the grid",
        finish=_positive_part,
        signed=False,
        caveat="Each channel has one weight for the whole picture, so a place may light up that "
        "did not change the logit. Evidence against the class is left out.",
    ),
    # Draelos & Carin 2020, arXiv:2011.08891: the rectification is left to who draws it.
    "hirescam": CamMethod(
        title="HiResCAM",
        library_class="HiResCAM",
        unit="logit, to first order",
        finish=_unchanged,
        signed=True,
        caveat="Exact where the logit is linear in this layer, a first-order estimate elsewhere.",
    ),
    # Chattopadhay et al. 2018, arXiv:1710.11063, eq. 10 and 19.
    "gradcam++": CamMethod(
        title="Grad-CAM++",
        library_class="GradCAMPlusPlus",
        unit="logit, by reweighted positive gradients summed over the grid",
        finish=_positive_part,
        signed=False,
        caveat="Its weights are derived for an exponential of the logit and for activations that "
        "are never negative. Here activations may be negative.",
    ),
    # Jiang et al. 2021, doi:10.1109/TIP.2021.3089943, eq. 6 to 8.
    "layercam": CamMethod(
        title="LayerCAM",
        library_class="LayerCAM",
        unit="logit, by positive gradients only",
        finish=_positive_part,
        signed=False,
        caveat="Places where less of a feature would raise the logit are left out.",
    ),
    # Muhammad & Yeasin 2020, arXiv:2008.00299. Centred before the decomposition, as the package
    # does; a principal direction has no sign of its own, so the larger end is made positive.
    "eigencam": CamMethod(
        title="EigenCAM",
        library_class="EigenCAM",
        unit="activation, along the first principal direction",
        finish=_largest_positive,
        signed=True,
        caveat="The same for every class: it shows what varies most in this layer. "
        "Which end is positive is a convention.",
        per_class=False,
    ),
    # Zhang et al. 2025, arXiv:2501.11309, with one class to compare with and a strength of 1:
    # Grad-CAM of the difference of two logits.
    "finercam": CamMethod(
        title="Finer-CAM",
        library_class="GradCAM",
        unit="difference of two logits, by gradients averaged over the grid",
        finish=_positive_part,
        signed=False,
        caveat="What speaks for the class and not for the other one. What speaks for both cancels, "
        "and places for the other class are left out.",
        contrast=True,
    ),
    # Wang et al. 2020, arXiv:1910.01279, eq. 4 to 7. Channels that were left out have no weight.
    "scorecam": CamMethod(
        title="Score-CAM",
        library_class="ScoreCAM",
        unit="activation, averaged over channels by the logits they leave",
        finish=_positive_part,
        signed=False,
        caveat="Without gradients: the picture is shown through each channel as a mask. Masked "
        "pictures are not like those the model was trained on.",
        masks=True,
    ),
}
