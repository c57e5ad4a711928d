"""Several answers to one picture, of several models or of one in several mixings, compared.

Arrays and facts, no modules: what is here outlives the models that made it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from mambaout.errors import ExplanationError
from mambaout.evaluation.divergence import js_divergence, kl_divergence
from mambaout.explain import Explanation, ScanTrace, grad_cam, scan_trace
from mambaout.models import Mixing
from mambaout.models.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Said:
    """An answer: a probability for each class that a model knows."""

    vocabulary: Vocabulary
    probabilities: np.ndarray  # (classes,) float32, summing to 1

    @property
    def top(self) -> int:
        """The first of the most probable classes."""
        return int(self.probabilities.argmax())

    def best(self, count: int = 5) -> list[int]:
        """The most probable classes, best first; of equal ones the first first."""
        return [int(i) for i in np.argsort(-self.probabilities, kind="stable")[:count]]

    def keys(self, count: int = 5) -> list[str]:
        """What other models know the most probable classes by, best first."""
        return [self.vocabulary.keys[i] for i in self.best(count)]


@dataclass(frozen=True, eq=False)
class Answered:
    """One model on one picture, in one mixing: what it said, and why as far as that was asked.

    An empty reason beside a missing explanation means that nobody asked for it.
    """

    id: str  # among the answers to one picture, such as "left" or "right_causal"
    name: str  # for timm.create_model
    mixing: Mixing  # that it answered in
    said: Said
    paths: tuple[str, ...] = ()  # the only scan paths that ran; none named: all of the mixing
    heat: Explanation | None = None
    no_heat: str = ""
    trace: ScanTrace | None = None
    no_trace: str = ""


@dataclass(frozen=True)
class Difference:
    """What sets a second answer apart from a first one."""

    same_top: bool
    common: int  # classes in both top fives
    kl: float | None  # of the second from the first [nats]; None where the classes differ
    js: float | None  # [nats]


def difference(first: Said, second: Said) -> Difference:
    """Compare two answers by the keys of their classes."""
    kl = js = None
    one, other = first.vocabulary, second.vocabulary
    if one.same_classes(other):
        p = first.probabilities
        q = second.probabilities[[other.positions[key] for key in one.keys]]
        kl, js = kl_divergence(p, q), js_divergence(p, q)
    return Difference(
        same_top=one.keys[first.top] == other.keys[second.top],
        common=len({*first.keys()} & {*second.keys()}),
        kl=kl,
        js=js,
    )


def ask(model: nn.Module, image: Tensor, vocabulary: Vocabulary) -> Said:
    """What ``model`` says of one normalised picture, (1, c, H, W)."""
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
    class_index = answer.said.top if class_index is None else class_index
    try:
        heat = grad_cam(model, image, class_index, method=method)
    except ExplanationError as error:
        return replace(answer, heat=None, no_heat=str(error))
    return replace(answer, heat=heat, no_heat="")


def with_trace(answer: Answered, model: nn.Module, image: Tensor) -> Answered:
    """The answer with what the model's scans held, or with the reason why there is nothing."""
    try:
        return replace(answer, trace=scan_trace(model, image), no_trace="")
    except ExplanationError as error:
        return replace(answer, trace=None, no_trace=str(error))
