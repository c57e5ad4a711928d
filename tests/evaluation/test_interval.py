from __future__ import annotations

import math

import pytest

from mambaout.evaluation.interval import wilson_interval


def test_wilsons_interval_solves_its_equation():
    for hits, count in ((0, 50), (7, 50), (25, 50), (50, 50), (612, 1200)):
        share = hits / count
        for end in wilson_interval(hits, count):
            if 0 < end < 1:
                sigma = math.sqrt(end * (1 - end) / count)
                assert abs(share - end) == pytest.approx(1.959964 * sigma, abs=1e-6)
    assert wilson_interval(0, 50)[0] == 0
    assert 0 < wilson_interval(0, 50)[1] < 0.1
    assert wilson_interval(50, 50)[1] == pytest.approx(1)
