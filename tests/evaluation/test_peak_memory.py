"""Memory that is taken is seen."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mambaout.evaluation.peak_memory import peak_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a process reset its peak")
def test_the_peak_is_that_of_the_call_alone():
    mebibyte = 2**20
    np.ones(64 * mebibyte, np.uint8)  # more, but before
    assert 24 * mebibyte < peak_bytes(lambda: np.ones(32 * mebibyte, np.uint8)) < 48 * mebibyte
