"""That what is timed is the same computation, and that a wrong one is not timed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from benchmarks import scan
from benchmarks.cases import CASES, CHECKED_CASES, QUICK_CASES, growing_case
from benchmarks.timing import QUICK
from mambaout.ops import selective_scan

SMALL = replace(CHECKED_CASES[1], groups=2)


@pytest.mark.parametrize("case", CHECKED_CASES, ids=lambda case: case.name)
def test_all_forms_give_the_plain_numbers(case):
    scan.check(case)


@pytest.mark.parametrize("wrong", [1.0001, float("nan")])
def test_a_wrong_value_is_no_result(monkeypatch, wrong):
    monkeypatch.setattr(scan, "selective_scan", lambda **a: selective_scan(**a) * wrong)
    with pytest.raises(scan.WrongResult, match="selective_scan of 'odd'"):
        scan.check(SMALL)


def test_a_wrong_gradient_is_no_result(monkeypatch):
    def no_gradient_of_b(**arguments):
        return (
            selective_scan(**arguments | {"B": arguments["B"].detach()}) + 0 * arguments["B"].sum()
        )

    monkeypatch.setattr(scan, "selective_scan", no_gradient_of_b)
    with pytest.raises(scan.WrongResult, match="gradient of B through selective_scan"):
        scan.check(SMALL)


@pytest.mark.parametrize("mode", list(scan.MEANS))
def test_every_form_of_a_case_runs(mode):
    runs = scan.runs_of(SMALL, mode, QUICK)
    assert list(runs) == ["plain", "selective_scan", "path_scan", "indexed"]
    for run in runs.values():
        run()


def test_gradients_are_taken_of_activations_and_nothing_stays_behind():
    arguments = scan.scan_arguments(SMALL)
    asked = []

    def form(**given):
        asked.extend(name for name, t in given.items() if torch.is_tensor(t) and t.requires_grad)
        return selective_scan(**given)

    scan.forward_and_backward(form, arguments)
    assert sorted(asked) == sorted(scan.ACTIVATIONS)
    assert not any(torch.is_tensor(t) and t.requires_grad for t in arguments.values())


def test_nobody_waits_for_a_quadratic_backward_of_many_tokens():
    names = scan.runs_of(growing_case(1344), "forward and backward", QUICK)
    assert "indexed" not in names
    assert "path_scan" in names


def test_cases_have_the_sizes_of_their_models():
    assert set(QUICK_CASES) <= set(CASES)
    assert growing_case(224) == CASES["vim_t_224_b1"]
    assert growing_case(1344) == CASES["vim_t_1344_b1"]
    assert CASES["vim_t_224_b1"].exponentials == 197 * 384 * 16
