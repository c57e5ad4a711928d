"""The selective scan against the plain recurrence, after both gave the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.cases import (
    CASES,
    CHECKED_CASES,
    QUICK_CASES,
    ScanCase,
    channels_first,
    path_arguments,
    scan_arguments,
)
from benchmarks.cpp_scan import cpp_path_scan, takes
from benchmarks.indexed_scan import indexed_selective_scan
from benchmarks.report import Goal, Result, milliseconds
from benchmarks.timing import Effort, Ratio, Run, geometric_mean, interleaved, ratio
from mambaout.ops import path_scan, plain_selective_scan, selective_scan

GROUP = "scan"
LEAST = Goal("at least", 12)  # of every case
MEANS = {"forward": Goal("at least", 30), "forward and backward": Goal("at least", 50)}
JUDGED = "indexed"  # the form that published speed-ups are against
CPP = Goal("at most", 1.4)

ACTIVATIONS = ("u", "delta", "B", "C", "z")  # what an explanation needs gradients of
WEIGHTS = ("A", "D", "delta_bias")
VALUE_TOLERANCE, GRADIENT_TOLERANCE = 2e-6, 1e-5  # of the largest, against float64

# Tokens times exponentials, which the indexed form's backward takes time in proportion to; the
# most that is timed by turns, and the most that is waited for once.
_BY_TURNS, _ONCE = 1e9, 8e9

Scan = Callable[..., Tensor]


class WrongResult(ArithmeticError):
    """A form of the scan gives other numbers than the plain one: its speed is worth nothing."""


def gated_path_scan(*, z: Tensor | None, **arguments: Any) -> Tensor:
    """`path_scan` and the gate that `selective_scan` has inside."""
    y = path_scan(**arguments)
    return y if z is None else y * F.silu(z)


def measure(effort: Effort) -> Iterator[Result]:
    """Ratios per case and mode, and their geometric means."""
    for case in CHECKED_CASES:
        check(case)
    names = QUICK_CASES if effort.quick else tuple(CASES)
    for mode, mean in MEANS.items():
        means: dict[str, list[float]] = {}
        for name in names:
            for label, result in _case(CASES[name], mode, effort):
                means.setdefault(label, []).append(result.value)
                yield result
        for label, ratios in means.items():
            note = f"geometric mean of {len(ratios)}"
            goal = _goal(label, mean)
            yield Result(
                GROUP, f"all, {mode}: {label}", geometric_mean(ratios), goal=goal, note=note
            )


def _case(case: ScanCase, mode: str, effort: Effort) -> Iterator[tuple[str, Result]]:
    runs = runs_of(case, mode)
    once = {name: runs.pop(name) for name in ("indexed",) if not _by_turns(case, mode)}
    times = interleaved(runs, effort)
    for name, run in once.items():
        if case.tokens * case.exponentials <= _ONCE:
            start = effort.clock()
            run()
            times[name] = [effort.clock() - start]
    middle = {name: median(seconds) for name, seconds in times.items()}
    pairs = [
        *product(("plain", "indexed"), ("selective_scan", "path_scan")),
        ("ungated path_scan", "C++"),
    ]
    for slow, fast in pairs:
        if slow not in times or fast not in times:
            continue
        label = f"{slow} / {fast}"
        yield (
            label,
            Result.of(
                GROUP,
                f"{case.name}, {mode}: {label}",
                _ratio(times[slow], times[fast]),
                goal=_goal(label, LEAST),
                note=milliseconds(middle[slow], middle[fast])
                + f", {case.exponentials / middle[fast] / 1e9:.2g} Gexp/s",
            ),
        )


def _goal(label: str, goal: Goal) -> Goal | None:
    if label.endswith("C++"):
        return CPP
    return goal if label.startswith(JUDGED) else None


def _ratio(numerators: list[float], denominators: list[float]) -> Ratio:
    """As `ratio`; of a time that was taken once, without a spread."""
    if len(numerators) == len(denominators):
        return ratio(numerators, denominators)
    [once] = numerators
    return Ratio(once / median(denominators), once / min(denominators), spread=None, rounds=1)


def _by_turns(case: ScanCase, mode: str) -> bool:
    """Whether the indexed form is fast enough to be timed as often as the others."""
    return mode == "forward" or case.tokens * case.exponentials < _BY_TURNS


def runs_of(case: ScanCase, mode: str) -> dict[str, Run]:
    """What is timed of a case, by name; the C++ form where there is a compiler for it."""
    arguments = scan_arguments(case)
    scans: dict[str, tuple[Scan, dict[str, Any]]] = {
        "plain": (plain_selective_scan, arguments),
        "selective_scan": (selective_scan, arguments),
        "path_scan": (gated_path_scan, path_arguments(arguments)),
        "indexed": (indexed_selective_scan, arguments),
    }
    if mode == "forward" and takes(case.channels // case.groups):
        bare = path_arguments(arguments)
        del bare["z"]
        scans["ungated path_scan"] = (path_scan, bare)
        scans["C++"] = (cpp_path_scan, {k: v for k, v in bare.items() if k != "reverse"})
    timed = forward if mode == "forward" else forward_and_backward
    return {name: partial(timed, scan, values) for name, (scan, values) in scans.items()}


def forward(scan: Scan, arguments: dict[str, Any]) -> Tensor:
    with torch.inference_mode():
        return scan(**arguments)


def forward_and_backward(scan: Scan, arguments: dict[str, Any]) -> None:
    """Gradients of the activations, as an explanation takes them."""
    arguments, leaves = _with_leaves(arguments, ACTIVATIONS)
    y = scan(**arguments)
    torch.autograd.grad(y, list(leaves.values()), torch.ones_like(y))


def _with_leaves(
    arguments: dict[str, Any], names: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    leaves = {
        name: arguments[name].detach().requires_grad_()
        for name in names
        if arguments[name] is not None
    }
    return arguments | leaves, leaves


def check(case: ScanCase, device: torch.device | None = None) -> None:
    """Compare values and all gradients of every form with the plain recurrence in float64.

    On ``device``, or on the CPU.

    Raises:
        WrongResult: they differ by more than float32 explains.
    """
    arguments = {
        name: value.to(device) if isinstance(value, Tensor) else value
        for name, value in scan_arguments(case, seed=1).items()
    }
    exact = {
        name: value.double() if isinstance(value, Tensor) else value
        for name, value in arguments.items()
    }
    names = (*ACTIVATIONS, *WEIGHTS)
    exact, exact_leaves = _with_leaves(exact, names)
    truth = plain_selective_scan(**exact)
    weight = torch.randn(truth.shape, generator=torch.Generator().manual_seed(2)).to(truth)
    expected = torch.autograd.grad(truth, list(exact_leaves.values()), weight)
    forms: dict[str, Callable[[dict[str, Any]], Tensor]] = {
        "plain_selective_scan": lambda a: plain_selective_scan(**a),
        "selective_scan": lambda a: selective_scan(**a),
        "path_scan": lambda a: channels_first(gated_path_scan(**path_arguments(a))),
        "indexed_selective_scan": lambda a: indexed_selective_scan(**a),
    }
    for form, scan in forms.items():
        leafy, leaves = _with_leaves(arguments, names)
        y = scan(leafy)
        gradients = torch.autograd.grad(y, list(leaves.values()), weight.float())
        _compare(f"{form} of {case.name!r}", y.detach(), truth.detach(), VALUE_TOLERANCE)
        for name, got, wanted in zip(leaves, gradients, expected, strict=True):
            what = f"the gradient of {name} through {form} of {case.name!r}"
            _compare(what, got, wanted, GRADIENT_TOLERANCE)


def _compare(what: str, got: Tensor, wanted: Tensor, tolerance: float) -> None:
    error = float((got - wanted).abs().max() / wanted.abs().max())
    if not error <= tolerance:
        raise WrongResult(
            f"expected {what} to be within {tolerance:g} of the largest number in float64, "
            f"got {error:.2g}"
        )
