"""That an explanation is timed, and not the memory of one."""

from __future__ import annotations

from dataclasses import replace

from app.store import ModelStore
from benchmarks import explain
from benchmarks.timing import QUICK


def test_a_comparison_costs_more_than_the_forward_passes_it_needs():
    store = ModelStore("cpu", offline=True)
    effort = replace(QUICK, rounds=3, least_seconds=0)
    assert explain._comparison(store.default_pair, store, effort).value > 1
