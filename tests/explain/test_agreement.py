"""Two maps compared: by hand, and against scipy's rank correlation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from mambaout.errors import ExplanationError
from mambaout.explain import Explanation, agreement
from mambaout.explain.map_agreement import rank_correlation, resampled


def a_map(values):
    return Explanation(np.asarray(values, np.float32), "logit", True, "hirescam", "stages.1", 0)


@pytest.mark.parametrize("ties", [False, True])
def test_the_rank_correlation_is_spearman_s(ties):
    rng = np.random.default_rng(0)
    a = rng.normal(size=50)
    b = a + rng.normal(size=50)
    if ties:
        a, b = a.round(), b.clip(0)
    expected = spearmanr(a, b).statistic
    assert 0.3 < expected < 0.9
    assert rank_correlation(a, b) == pytest.approx(expected)
    assert rank_correlation(b, a) == pytest.approx(expected)


def test_maps_agree_with_themselves_and_not_with_their_opposites():
    values = np.random.default_rng(1).normal(size=(6, 8))
    same = agreement(a_map(values), a_map(7 + 3 * values))  # another unit is no disagreement
    assert same.rank_correlation == pytest.approx(1)
    assert (same.top_overlap, same.top, same.grid) == (1, 0.2, (6, 8))
    opposite = agreement(a_map(values), a_map(-values))
    assert opposite.rank_correlation == pytest.approx(-1)
    assert opposite.top_overlap == 0


def test_the_top_by_hand():
    """10 places, 2 on top of each map, one of them on both."""
    a = [[9, 8, 0, 1, 2, 3, 4, 5, 6, 7]]
    b = [[0, 9, 8, 1, 2, 3, 4, 5, 6, 7]]
    assert agreement(a_map(a), a_map(b)).top_overlap == 1 / 3
    assert agreement(a_map(a), a_map(b), top=0.9).top_overlap == 8 / 10


def test_zeros_of_a_rectified_map_are_never_on_top():
    one, other = np.zeros((2, 10)), np.zeros((2, 10))
    one[0, 0] = other[1, 5] = 1
    assert agreement(a_map(one), a_map(other)).top_overlap == 0
    assert agreement(a_map(one), a_map(one)).top_overlap == 1


def test_a_map_that_is_the_same_everywhere_agrees_with_nothing():
    flat = agreement(a_map(np.ones((3, 3))), a_map(np.arange(9).reshape(3, 3)))
    assert np.isnan(flat.rank_correlation)
    assert np.isnan(flat.top_overlap)


def test_grids_meet_on_the_coarser_one():
    fine = np.arange(24.0).reshape(4, 6)
    coarse = fine.reshape(2, 2, 3, 2).mean((1, 3))
    np.testing.assert_allclose(resampled(fine, (2, 3)), coarse)
    got = agreement(a_map(fine), a_map(coarse))
    assert got.grid == (2, 3)
    assert got.rank_correlation == pytest.approx(1)
    assert agreement(a_map(fine), a_map(np.ones((2, 9)) * np.arange(9))).grid == (2, 6)


def test_cells_that_are_cut_count_by_their_parts():
    np.testing.assert_allclose(resampled(np.array([[1.0, 2, 6]]), (1, 2)), [[4 / 3, 14 / 3]])
    values = np.random.default_rng(2).normal(size=(7, 5))
    for grid in ((3, 4), (7, 5), (14, 10)):
        assert resampled(values, grid).mean() == pytest.approx(values.mean())


def test_a_top_that_is_no_share_is_refused():
    for top in (0, 1, -0.1):
        with pytest.raises(ExplanationError, match="top must be between 0 and 1"):
            agreement(a_map(np.eye(3)), a_map(np.eye(3)), top)
