"""A model asked about one picture, and what it said explained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.errors import ExplanationError, said_by
from mambaout.evaluation.said import Answered, Said

if TYPE_CHECKING:
    import numpy as np
    import torch
    from torch import Tensor, nn


def ask(model: nn.Module, image: Tensor, vocabulary: Vocabulary) -> Said:
    """What ``model`` says of one normalised picture, (1, c, H, W)."""
    [row] = probabilities(model, image)
    return Said(vocabulary, row)


def probabilities(
    model: nn.Module, images: Tensor, precision: torch.dtype | None = None
) -> np.ndarray:
    """What ``model`` says of normalised pictures, (n, c, H, W) → (n, classes) float32.

    Args:
        model: a classifier.
        images: on its device.
        precision: of matrix products and convolutions, as `torch.autocast` has them; None for that
            of the weights. Scan states and softmax stay float32.
    """
    import torch

    half = precision is not None and precision != torch.float32
    with torch.inference_mode(), torch.autocast(images.device.type, precision, enabled=half):
        logits = model(images).float().cpu()
    # Row by row: the last bit of a sum is not to depend on who else is in the batch.
    found: np.ndarray = torch.stack([row.softmax(0) for row in logits]).numpy()
    return found


def with_heat(
    answer: Answered,
    model: nn.Module,
    image: Tensor,
    class_index: int | None = None,
    method: str = "gradcam",
    progress: Callable[[int, int | None], None] | None = None,
) -> Answered:
    """The answer with the heat map of a class, or with the reason why there is none.

    Args:
        answer: what `ask` gave of the same model and picture.
        model: in the answer's mixing, with the answer's paths.
        image: the normalised picture, (1, c, H, W).
        class_index: the class to explain; None for the answer's first choice.
        method: a key of `mambaout.explain.cam.METHODS`.
        progress: as for `mambaout.explain.grad_cam`.
    """
    from mambaout.explain import grad_cam

    class_index = answer.said.top if class_index is None else class_index
    try:
        heat = grad_cam(model, image, class_index, method=method, progress=progress)
    except ExplanationError as error:
        return replace(answer, heat=None, no_heat=said_by(error))
    return replace(answer, heat=heat, no_heat="")


def with_trace(answer: Answered, model: nn.Module, image: Tensor) -> Answered:
    """The answer with what the model's scans held, or with the reason why there is nothing."""
    from mambaout.explain import scan_trace

    try:
        return replace(answer, trace=scan_trace(model, image), no_trace="")
    except ExplanationError as error:
        return replace(answer, trace=None, no_trace=said_by(error))
