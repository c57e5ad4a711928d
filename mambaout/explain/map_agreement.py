"""How far two maps agree, as numbers that do not depend on their units."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mambaout.errors import ExplanationError

if TYPE_CHECKING:
    from mambaout.explain.base import Explanation


@dataclass(frozen=True)
class Agreement:
    """Two maps of one picture compared. NaN where a map is the same everywhere."""

    rank_correlation: float  # Spearman's, -1 … 1: do they put the places in the same order?
    top_overlap: float  # 0 … 1: places on top of both, as a share of those on top of either
    top: float  # the share of all places that counts as the top
    grid: tuple[int, int]  # (h, w) on which they were compared


def agreement(a: Explanation, b: Explanation, top: float = 0.2) -> Agreement:
    """Compare two maps over the same part of one picture, of one model or of two.

    Both are averaged by area onto the coarser grid, rows and columns each. The overlap is the
    intersection over the union (Jaccard) of the places on top. Places whose value is a map's least
    are never on top: in a rectified map those are the many that are zero.

    Args:
        a: a map.
        b: another one; the order of the two does not matter.
        top: the share of places that counts as the top, in (0, 1).

    Raises:
        ExplanationError: ``top`` is no such share.
    """
    if not 0 < top < 1:
        raise ExplanationError(f"top must be between 0 and 1, got {top}")
    (ha, wa), (hb, wb) = a.values.shape, b.values.shape
    grid = min(ha, hb), min(wa, wb)
    maps = [resampled(of.values, grid).ravel() for of in (a, b)]
    on_top = [_on_top(values, top) for values in maps]
    either = np.count_nonzero(on_top[0] | on_top[1])
    both = np.count_nonzero(on_top[0] & on_top[1])
    return Agreement(
        rank_correlation=rank_correlation(*maps),
        top_overlap=both / either if on_top[0].any() and on_top[1].any() else np.nan,
        top=top,
        grid=grid,
    )


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rank correlation, equal values sharing the mean of their ranks; NaN if constant.

    >>> rank_correlation(np.array([1.0, 5.0, 30.0]), np.array([-2.0, -1.0, 0.0]))
    1.0
    """
    ranks = np.stack([_ranks(a), _ranks(b)])
    centred = ranks - ranks.mean(1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1)
    if not lengths.all():
        return float("nan")
    return float(np.clip(centred[0] @ centred[1] / lengths.prod(), -1, 1))


def resampled(values: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """A map averaged by area onto another grid; cells that were cut count by their parts."""
    rows, columns = (_shares(n, m) for n, m in zip(values.shape, grid, strict=True))
    averaged: np.ndarray = rows @ values.astype(np.float64) @ columns.T
    return averaged


def _shares(cells: int, wanted: int) -> np.ndarray:
    """How much of each of ``wanted`` intervals each of ``cells`` intervals fills, (wanted, cells).

    Both divide the same line evenly.
    """
    new, old = (np.arange(n + 1) / n for n in (wanted, cells))
    first = np.maximum(new[:-1, None], old[None, :-1])
    last = np.minimum(new[1:, None], old[None, 1:])
    shares: np.ndarray = (last - first).clip(min=0) * wanted
    return shares


def _ranks(values: np.ndarray) -> np.ndarray:
    _, which, counts = np.unique(values.ravel(), return_inverse=True, return_counts=True)
    ranks: np.ndarray = (counts.cumsum() - (counts - 1) / 2)[which]
    return ranks


def _on_top(values: np.ndarray, top: float) -> np.ndarray:
    count = max(1, round(top * values.size))
    threshold = np.partition(values, -count)[-count]
    marked: np.ndarray = (values >= threshold) & (values > values.min())
    return marked
