"""That what is timed is the same computation, and that a wrong one is not timed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial

import pytest
import torch

from benchmarks import scan
from benchmarks.cases import CASES, CHECKED_CASES, QUICK_CASES, growing_case, path_arguments
from benchmarks.cpp_scan import cpp_path_scan
from benchmarks.timing import QUICK
from mambaout.ops import path_scan, selective_scan

EFFORT = replace(QUICK, least_seconds=0)
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
    runs = scan.runs_of(SMALL, mode)
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


def test_nobody_waits_for_a_quadratic_backward_of_many_tokens(monkeypatch):
    case, asked = growing_case(1344), []

    def runs_of(*_):
        return {name: partial(asked.append, name) for name in ("plain", "path_scan", "indexed")}

    monkeypatch.setattr(scan, "runs_of", runs_of)
    labels = [label for label, _ in scan._case(case, "forward and backward", EFFORT)]
    assert labels == ["plain / path_scan"]
    assert set(asked) == {"plain", "path_scan"}


def test_a_slow_backward_is_timed_once(monkeypatch):
    asked = []

    def runs_of(*_):
        return {name: partial(asked.append, name) for name in ("plain", "path_scan", "indexed")}

    monkeypatch.setattr(scan, "runs_of", runs_of)
    labels = [
        label for label, _ in scan._case(CASES["vim_t_224_b8"], "forward and backward", EFFORT)
    ]
    assert labels == ["plain / path_scan", "indexed / path_scan"]
    assert asked.count("indexed") == 1
    assert asked.count("path_scan") > 3


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no compiler")
@pytest.mark.parametrize("d", [96, 128])
def test_the_cpp_form_computes_the_same(d):
    case = replace(CHECKED_CASES[0], channels=2 * d, gated=False)
    arguments = path_arguments(scan.scan_arguments(case))
    del arguments["z"]
    expected = path_scan(**arguments)
    del arguments["reverse"]
    torch.testing.assert_close(cpp_path_scan(**arguments), expected, rtol=1e-5, atol=1e-5)
    assert "C++" in scan.runs_of(case, "forward")


def test_cases_have_the_sizes_of_their_models():
    assert set(QUICK_CASES) <= set(CASES)
    assert growing_case(224) == CASES["vim_t_224_b1"]
    assert growing_case(1344) == CASES["vim_t_1344_b1"]
    assert CASES["vim_t_224_b1"].exponentials == 197 * 384 * 16
