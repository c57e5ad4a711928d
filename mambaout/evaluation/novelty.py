"""A hint that a picture may show none of a model's classes, from how sure its first answer is.

Hendrycks & Gimpel, "A Baseline for Detecting Misclassified and Out-of-Distribution Examples", ICLR
2017, arXiv:1610.02136: pictures of other things tend to get a lower largest probability. The
probabilities are tempered first (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017,
arXiv:1706.04599). Temperature, threshold and how often the hint is right are measured when weights
are exported, and are part of their card; without such a card there is no hint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mambaout.catalogue.mixing import Mixing


@dataclass(frozen=True)
class Hint:
    """The first answer is as unsure as those on pictures of none of the classes often are.

    Attributes:
        confidence: tempered probability of the first answer, below ``threshold``.
        threshold: what the card calls unsure.
        unsure_inside: share of pictures of the model's own classes that give this hint too.
        unsure_outside: share of pictures of other classes that give it.
    """

    confidence: float
    threshold: float
    unsure_inside: float
    unsure_outside: float


def novelty_hint(
    probabilities: npt.ArrayLike, card: Mapping[str, Any] | None, mixing: Mixing
) -> Hint | None:
    """The hint for one answer, or None: the answer is sure enough, or nothing was measured.

    Args:
        probabilities: softmax of the logits, (classes,).
        card: of the bundled weights that answered, as
            `mambaout.catalogue.bundled.bundled_card` reads it; None where they have none.
        mixing: of the view that answered. Only the mixing of training was measured.

    Raises:
        ValueError: the probabilities are not those of the card's classes.
    """
    measured = None if card is None else card.get("novelty")
    if card is None or measured is None or mixing != card["mixing"]:
        return None
    given = np.asarray(probabilities, dtype=np.float64)
    if given.shape != (len(card["classes"]),):
        raise ValueError(
            f"expected the probabilities of {len(card['classes'])} classes, got an array of shape "
            f"{given.shape}"
        )
    confidence = float(tempered(given, measured["temperature"]).max())
    if confidence >= measured["threshold"]:
        return None
    return Hint(
        confidence, measured["threshold"], measured["unsure_inside"], measured["unsure_outside"]
    )


def tempered(probabilities: npt.NDArray[Any], temperature: float) -> npt.NDArray[np.float64]:
    """softmax(logits / temperature) over the last axis, from the softmax at temperature 1."""
    largest = probabilities.max(axis=-1, keepdims=True)
    powers = (probabilities.astype(np.float64) / largest) ** (1 / temperature)
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def auroc(inside: npt.NDArray[Any], outside: npt.NDArray[Any]) -> float:
    """How often a score of ``inside`` exceeds one of ``outside``, ties for half: 0.5 is chance."""
    values = np.sort(outside)
    below = np.searchsorted(values, inside, side="left")
    not_above = np.searchsorted(values, inside, side="right")
    return float((below + not_above).mean() / (2 * len(values)))
