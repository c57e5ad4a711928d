"""What is kept of a run, and what is said to have moved since."""

from __future__ import annotations

import json

import pytest

from benchmarks.report import Goal, Result, as_dict, changes, last_run, moved, results_of, table

CONDITIONS = {
    "date": "2026-01-02T03:04:05+00:00",
    "quick": True,
    "threads": 2,
    "clock": "wall",
    "machine": {"processor": "one", "cores": 2, "system": "Linux"},
    "versions": {"python": "3.12", "torch": "2.9"},
}


def result(value, *, case="a / b", spread=0.1, **more):
    return Result("scan", case, value, spread=spread, **more)


def run(*results, **changed):
    return as_dict(results, CONDITIONS | changed)


@pytest.mark.parametrize(
    ("now", "is_beyond"),
    [(10, False), (11.9, False), (12.3, True), (8.4, False), (8.1, True)],  # e^±0.2 = 1.221, 0.819
)
def test_moved_is_what_lies_outside_both_spreads(now, is_beyond):
    pairs = moved([result(10)], [result(now)])
    assert bool(pairs) == is_beyond


def test_a_noisier_run_hides_more():
    assert moved([result(10)], [result(13)])
    assert not moved([result(10)], [result(13, spread=0.3)])


def test_nothing_is_said_where_the_spread_is_not_known_or_there_was_nothing_before():
    assert not moved([result(10, spread=None)], [result(99)])
    assert not moved([result(10)], [result(99, spread=None)])
    assert not moved([result(10)], [result(99, case="another")])


def test_goals_have_a_direction():
    least, most = Goal("at least", 12), Goal("at most", 2)
    assert [least.met(11.9), least.met(12)] == [False, True]
    assert [most.met(2), most.met(2.1)] == [True, False]


def test_what_is_kept_comes_back(tmp_path):
    results = [result(3.5, minima=3.4, goal=Goal("at least", 12), note="7 : 2 ms"), result(1)]
    kept = json.loads(json.dumps(run(*results)))
    assert results_of(kept) == results


@pytest.fixture
def files(tmp_path):
    """A function that writes reports and returns their paths."""

    def write(*reports):
        paths = [tmp_path / f"{number}.json" for number in range(len(reports))]
        for path, kept in zip(paths, reports, strict=True):
            path.write_text(json.dumps(kept), encoding="utf-8")
        return paths

    return write


@pytest.mark.parametrize(
    "other",
    [
        {"quick": False},
        {"threads": 1},
        {"clock": "cpu"},
        {"machine": CONDITIONS["machine"] | {"cores": 64}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_only_a_run_under_the_same_conditions_is_compared_with(files, other):
    before = run(result(1))
    assert last_run(files(run(result(2), **other), before), run(result(3))) == before
    assert last_run(files(run(result(2), **other)), run(result(3))) is None


def test_other_versions_are_compared_with_and_named(files):
    before = run(result(1), versions={"python": "3.12", "torch": "2.8"})
    now = run(result(2))
    assert last_run(files(before), now) == before
    assert "torch 2.8 → 2.9" in changes(before, now)
    assert "python" not in changes(before, now)


def test_the_last_run_is_one_that_measured_some_of_the_same(files):
    other, same = run(result(1, case="other")), run(result(1), result(2, case="other"))
    assert last_run(files(other, same), run(result(3))) == same


def test_changes_name_what_moved_and_by_how_much():
    words = changes(
        run(result(10), result(5, case="still")), run(result(20), result(5, case="still"))
    )
    assert "scan, a / b: 10 → 20 (+100 %)" in words
    assert "still" not in words
    assert "nothing moved" in changes(run(result(10)), run(result(10)))


def test_a_table_has_a_line_for_every_result_below_its_group():
    lines = table(
        [
            result(12.345, minima=11, goal=Goal("at least", 12), note="25 : 2 ms"),
            Result("growth", "p", 1.5, goal=Goal("at most", 1.1)),
        ]
    ).splitlines()
    scan, growth = lines.index("scan"), lines.index("growth")
    assert lines[scan + 1].split() == [
        "a",
        "/",
        "b",
        "12.3",
        "11",
        "5",
        "≥",
        "12",
        "met",
        *["25", ":", "2", "ms"],
    ]
    assert lines[growth + 1].split() == ["p", "1.5", "≤", "1.1", "missed"]
