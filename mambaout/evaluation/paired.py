"""What two models differ by on the same pictures, where each picture is right or wrong for both."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.interval import WILSON_Z


def packed(right: np.ndarray) -> str:
    """Which pictures were right, (n,) bool, as bits in hexadecimal, the first picture first."""
    return np.packbits(right).tobytes().hex()


def unpacked(bits: str, count: int) -> np.ndarray:
    """What `packed` was given: (count,) bool.

    Raises:
        EvaluationError: these are not the bits of ``count`` pictures.
    """
    try:
        content = np.frombuffer(bytes.fromhex(bits), np.uint8)
    except ValueError as error:
        raise EvaluationError(f"right answers are not written in hexadecimal: {error}") from error
    if len(content) != math.ceil(count / 8):
        raise EvaluationError(
            f"right answers of {count} pictures take {math.ceil(count / 8)} bytes, and these are "
            f"{len(content)}"
        )
    return np.unpackbits(content, count=count).astype(bool)


def paired_difference(before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """The change of accuracy from ``before`` to ``after``, each (n,) bool of the same pictures.

    Pictures that both have right, or both wrong, say nothing about the difference; so its 95 %
    interval is narrower than those of the two accuracies suggest. It is that of Bonett and Price
    (Adjusted Wald confidence interval for a difference of binomial proportions based on paired
    data, Journal of Educational and Behavioral Statistics 37, 2012).

    Returns:
        ``change`` as a share of the pictures, its ``interval`` [low, high], and how many pictures
        were ``gained`` and ``lost``.
    """
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    count = len(before)
    up, down = (gained + 1) / (count + 2), (lost + 1) / (count + 2)
    spread = WILSON_Z * math.sqrt((up + down - (up - down) ** 2) / (count + 2))
    middle = up - down
    return {
        "change": (gained - lost) / count,
        "interval": [max(-1.0, middle - spread), min(1.0, middle + spread)],
        "gained": gained,
        "lost": lost,
    }
