from __future__ import annotations

import math

import numpy as np
import pytest

from mambaout.evaluation.divergence import js_divergence, kl_divergence

HALVES, QUARTER = np.array([0.5, 0.5]), np.array([0.25, 0.75])
ONE, OTHER = np.array([1.0, 0.0]), np.array([0.0, 1.0])


def test_kullback_leibler_is_that_of_the_books():
    by_hand = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert kl_divergence(HALVES, QUARTER) == pytest.approx(by_hand)
    assert kl_divergence(QUARTER, HALVES) != pytest.approx(by_hand)
    assert kl_divergence(HALVES, HALVES) == 0
    assert kl_divergence(ONE, HALVES) == pytest.approx(math.log(2))
    assert math.isfinite(kl_divergence(HALVES, ONE))


def test_jensen_shannon_is_symmetric_and_ends_at_ln_2():
    # The mean is (3/8, 5/8).
    by_hand = 0.25 * (math.log(4 / 3) + math.log(4 / 5)) + 0.5 * (
        0.25 * math.log(2 / 3) + 0.75 * math.log(6 / 5)
    )
    assert js_divergence(HALVES, QUARTER) == pytest.approx(by_hand)
    assert js_divergence(QUARTER, HALVES) == pytest.approx(by_hand)
    assert js_divergence(QUARTER, QUARTER) == 0
    assert js_divergence(ONE, OTHER) == pytest.approx(math.log(2))
