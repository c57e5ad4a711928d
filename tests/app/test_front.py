"""Work for a tab ends when the visitor leaves it; nobody else's does."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from gradio.context import LocalContext

from app import front
from app.front import Fronts

NOTHING = {}


@pytest.fixture
def visitor():
    """Answers as gradio does: for one visitor at a time."""
    before = LocalContext.request.get(None)

    def become(name):
        LocalContext.request.set(SimpleNamespace(session_hash=name) if name else None)

    yield become
    LocalContext.request.set(before)


def worker(fronts, ended, steps=3):
    """Work for the lens, in steps; what ends it early is noted."""

    def work(*inputs):
        try:
            for step in range(steps):
                yield step, inputs
        finally:
            ended.append(step)

    return fronts.while_there("lens", work, NOTHING)


def test_work_goes_on_while_its_tab_is_in_front(visitor):
    fronts, ended = Fronts(), []
    visitor("ada")
    assert not fronts.bring("lens")
    found = list(worker(fronts, ended)("picture"))
    assert found == [NOTHING, *((step, ("picture",)) for step in range(3))]
    assert not fronts.bring("lens")  # it was done


def test_work_for_a_tab_that_was_left_ends_and_is_wanted_again(visitor):
    fronts, ended = Fronts(), []
    visitor("ada")
    fronts.bring("lens")
    steps = worker(fronts, ended, 1000)()
    assert [next(steps), next(steps)[0]] == [NOTHING, 0]
    assert not fronts.bring("mixing")
    assert list(steps) == []
    assert ended == [0]
    assert fronts.bring("lens")
    assert not fronts.bring("lens")


def test_work_that_was_left_before_its_turn_does_not_begin(visitor):
    fronts, ended = Fronts(), []
    visitor("ada")
    fronts.bring("mixing")
    assert list(worker(fronts, ended)()) == [NOTHING]
    assert ended == []
    assert fronts.bring("lens")


@pytest.mark.parametrize("name", ["bob", None])
def test_what_one_visitor_leaves_ends_nobody_elses_work(visitor, name):
    fronts, ended = Fronts(), []
    visitor(name)
    fronts.bring("lens")
    steps = worker(fronts, ended)()
    next(steps)
    visitor("ada")
    fronts.bring("mixing")
    visitor(name)
    assert len(list(steps)) == 3


def test_visitors_are_forgotten_and_then_left_alone(visitor, monkeypatch):
    monkeypatch.setattr(front, "_MOST", 2)
    fronts, ended = Fronts(), []
    for name in ("ada", "bob", "eve"):
        visitor(name)
        fronts.bring("mixing")
    assert list(worker(fronts, ended)()) == [NOTHING]
    visitor("ada")
    assert len(list(worker(fronts, ended)())) == 4
