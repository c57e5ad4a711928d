"""The command from outside, with a group that takes no time."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as command
from benchmarks.report import Result


@pytest.fixture
def values(monkeypatch):
    """What the group `scan` will measure, run after run."""
    coming = []

    def measure(effort):
        yield Result("scan", "a / b", coming.pop(0), spread=0.01)

    monkeypatch.setattr(
        command.importlib, "import_module", lambda name: SimpleNamespace(measure=measure)
    )
    return coming


def test_a_run_is_kept_and_the_next_one_is_compared_with_it(values, tmp_path, capsys):
    values += [10, 20]
    file = tmp_path / "deep" / "bench.json"
    arguments = ["--quick", "--only", "scan", "--json", str(file)]
    assert command.main(arguments) == 0
    assert "No earlier run" in capsys.readouterr().out
    assert json.loads(file.read_text(encoding="utf-8"))["results"][0]["value"] == 10
    assert command.main(arguments) == 0
    assert "scan, a / b: 10 → 20 (+100 %)" in capsys.readouterr().out
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["results"][0]["value"] == 20
    assert kept["quick"] is True
    assert set(kept["conditions"]) == {"scan"}
    assert [path.name for path in file.parent.iterdir()] == ["bench.json"]


def test_without_a_name_runs_are_kept_by_their_time(values, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "RUNS", tmp_path)
    (tmp_path / "20200101T000000Z.json").write_text('{"format": 0}', encoding="utf-8")
    values += [10]
    command.main(["--only", "scan"])
    assert len(list(tmp_path.glob("*.json"))) == 2
    assert "No earlier run" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--only", "scan,nothing"], ["--only", ""], ["--threads=0"]])
def test_what_cannot_be_measured_is_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        command.main(arguments)
    assert "expected" in (said := capsys.readouterr().err) or "choose from scan, models" in said


def test_every_group_can_be_found():
    for module in command.MODULES.values():
        assert callable(command.importlib.import_module(module).measure)
