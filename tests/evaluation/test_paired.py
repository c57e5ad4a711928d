"""Differences of accuracy on the same pictures: what is counted, and how sure they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.interval import wilson_interval
from mambaout.evaluation.paired import packed, paired_difference, unpacked


@pytest.mark.parametrize("count", [0, 1, 8, 9, 1200])
def test_which_pictures_were_right_survives_writing(count):
    right = np.random.default_rng(count).random(count) < 0.6
    np.testing.assert_array_equal(unpacked(packed(right), count), right)
    assert len(packed(right)) == 2 * math.ceil(count / 8)


def test_bits_that_are_not_of_so_many_pictures_are_refused():
    with pytest.raises(EvaluationError, match="hexadecimal"):
        unpacked("no bits", 8)
    with pytest.raises(EvaluationError, match="of 9 pictures take 2 bytes, and these are 1"):
        unpacked("ff", 9)


def test_gains_and_losses_are_counted():
    before = np.array([1, 1, 1, 0, 0, 0, 0, 1], bool)
    after = np.array([1, 0, 0, 0, 0, 0, 1, 1], bool)
    found = paired_difference(before, after)
    assert (found["gained"], found["lost"]) == (1, 2)
    assert found["change"] == after.mean() - before.mean() == -1 / 8


def test_the_interval_of_a_published_example():
    """Bonett and Price's estimate by hand: 4 gained, 20 lost of 100; and its mirror image."""
    before, after = (np.zeros(100, bool) for _ in range(2))
    before[:60], after[20:64] = True, True
    found = paired_difference(before, after)
    up, down = 5 / 102, 21 / 102
    spread = 1.959964 * math.sqrt((up + down - (up - down) ** 2) / 102)
    assert found["interval"] == pytest.approx([up - down - spread, up - down + spread])
    mirrored = paired_difference(after, before)["interval"]
    assert mirrored == pytest.approx([-end for end in reversed(found["interval"])])


def test_it_holds_the_truth_as_often_as_it_says():
    """Over 2,000 experiments with known chances; and it is narrower than two intervals' ends."""
    generator = np.random.default_rng(0)
    both, gained, lost, count = 0.5, 0.06, 0.10, 600
    held = 0
    for _ in range(2000):
        kind = generator.choice(4, count, p=[both, gained, lost, 1 - both - gained - lost])
        before, after = (kind == 0) | (kind == 2), (kind == 0) | (kind == 1)
        low, high = paired_difference(before, after)["interval"]
        held += low <= gained - lost <= high
    assert held / 2000 == pytest.approx(0.95, abs=0.015)
    one, other = (wilson_interval(int(right.sum()), count) for right in (before, after))
    assert high - low < (one[1] - one[0] + other[1] - other[0]) / 2


def test_without_a_difference_it_still_is_not_sure():
    right = np.ones(50, bool)
    low, high = paired_difference(right, right)["interval"]
    assert low < 0 < high
    assert high < 0.1
