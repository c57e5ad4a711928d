"""A model asked about one picture, and what it said explained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.errors import ExplanationError
from mambaout.evaluation.said import Answered, Said

if TYPE_CHECKING:
    from torch import Tensor, nn


def ask(model: nn.Module, image: Tensor, vocabulary: Vocabulary) -> Said:
    """What ``model`` says of one normalised picture, (1, c, H, W)."""
    import torch

    with torch.inference_mode():
        logits = model(image)[0].float().cpu()
    return Said(vocabulary, logits.softmax(0).numpy())


def with_heat(
    answer: Answered,
    model: nn.Module,
    image: Tensor,
    class_index: int | None = None,
    method: str = "gradcam",
) -> Answered:
    """The answer with the heat map of a class, or with the reason why there is none.

    Args:
        answer: what `ask` gave of the same model and picture.
        model: in the answer's mixing, with the answer's paths.
        image: the normalised picture, (1, c, H, W).
        class_index: the class to explain; None for the answer's first choice.
        method: a key of `mambaout.explain.cam.METHODS`.
    """
    from mambaout.explain import grad_cam

    class_index = answer.said.top if class_index is None else class_index
    try:
        heat = grad_cam(model, image, class_index, method=method)
    except ExplanationError as error:
        return replace(answer, heat=None, no_heat=str(error))
    return replace(answer, heat=heat, no_heat="")


def with_trace(answer: Answered, model: nn.Module, image: Tensor) -> Answered:
    """The answer with what the model's scans held, or with the reason why there is nothing."""
    from mambaout.explain import scan_trace

    try:
        return replace(answer, trace=scan_trace(model, image), no_trace="")
    except ExplanationError as error:
        return replace(answer, trace=None, no_trace=str(error))
