"""Measured in processes of their own, point by point, until somebody has seen enough."""

from __future__ import annotations

import threading

import pytest

from mambaout.errors import MambaOutError
from mambaout.evaluation import growth
from mambaout.evaluation.growth import Point


def test_models_take_turns_and_points_come_one_by_one():
    found = growth.growth(("mambaout_femto", "deit_tiny_patch16_224"), (32, 64), "cpu")
    points = [point for point in found if point is not None]
    assert [(p.model, p.side, p.tokens) for p in points] == [
        ("mambaout_femto", 32, 4),
        ("deit_tiny_patch16_224", 32, 4),
        ("mambaout_femto", 64, 16),
        ("deit_tiny_patch16_224", 64, 16),
    ]
    assert all(point.seconds > 0 for point in points)
    assert all(point.peak_bytes is None or point.peak_bytes > 0 for point in points)


def test_whoever_stops_ends_the_processes(monkeypatch):
    started = []

    class Watched(growth._Meter):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            started.append(self._process)

    monkeypatch.setattr(growth, "_Meter", Watched)
    before = threading.active_count()
    running = growth.growth(("mambaout_femto",), (32,), "cpu")
    assert next(running) is None  # it has not even imported torch
    [process] = started
    assert process.poll() is None
    running.close()
    assert process.poll() is not None
    assert threading.active_count() == before


def test_a_process_that_ends_early_says_why():
    with pytest.raises(
        MambaOutError, match=r"Measuring no_such_model ended early \(.*Unknown model"
    ):
        list(growth.growth(("no_such_model",), (32,), "cpu"))


def test_a_process_that_takes_too_long_is_not_waited_for(monkeypatch):
    hours = iter(range(0, 10**6, 3600))
    with pytest.raises(MambaOutError, match="took longer than"):
        list(growth.growth(("mambaout_femto",), (32,), "cpu", clock=lambda: next(hours)))


def test_a_point_is_plain_data():
    point = growth.measure("mambaout_femto", 32, "cpu")
    assert isinstance(point, Point)
    assert (point.model, point.tokens) == ("mambaout_femto", 4)
