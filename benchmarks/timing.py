"""Timing by turns, and what may be concluded from it.

A shared machine is slow for seconds at a time, for all alike. So whatever is compared is timed in
turns, A B, B A, A B, …, and only ratios within one run are believed.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LEAST_ROUNDS = 3  # fewer have no quartiles, so nobody could say how noisy they are

Run = Callable[[], Any]
Clock = Callable[[], float]


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    quick: bool
    rounds: int  # of one comparison, at most
    seconds: float  # after which no further round of a comparison begins
    least_seconds: float = 0.005  # shorter calls are repeated within one timing
    clock: Clock = time.perf_counter


QUICK = Effort(quick=True, rounds=7, seconds=4)
FULL = Effort(quick=False, rounds=15, seconds=20)


@dataclass(frozen=True)
class Ratio:
    """How two things compared by turns relate."""

    median: float  # ratio of the two medians
    minima: float  # ratio of the two shortest times: what is left when neighbours are quiet
    spread: float | None  # interquartile range of the rounds' own ratios, in log; None: too few
    rounds: int


def interleaved(runs: Mapping[str, Run], effort: Effort) -> dict[str, list[float]]:
    """Seconds per call of each of ``runs``, one number per round.

    Every run is called twice before: what happens once, such as compiling, is not timed. Every
    other round goes through the runs backwards, so that none always follows the same one.
    """
    clock = effort.clock
    repeats = {name: _repeats(run, effort.least_seconds, clock) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    start = clock()
    for number in range(effort.rounds):
        if number >= LEAST_ROUNDS and clock() - start > effort.seconds:
            break
        for name in list(runs) if number % 2 == 0 else reversed(list(runs)):
            times[name].append(_seconds(runs[name], repeats[name], clock))
    return times


def _repeats(run: Run, least_seconds: float, clock: Clock) -> int:
    run()
    return max(1, math.ceil(least_seconds / max(_seconds(run, 1, clock), 1e-6)))


def _seconds(run: Run, repeats: int, clock: Clock) -> float:
    start = clock()
    for _ in range(repeats):
        run()
    return (clock() - start) / repeats


def ratio(numerators: Sequence[float], denominators: Sequence[float]) -> Ratio:
    """Of times measured by turns, round by round.

    Raises:
        ValueError: the two were not measured in the same number of rounds.
    """
    logs = [math.log(a / b) for a, b in zip(numerators, denominators, strict=True)]
    spread = None
    if len(logs) >= LEAST_ROUNDS:
        lower, _, upper = statistics.quantiles(logs, n=4, method="inclusive")
        spread = upper - lower
    return Ratio(
        median=statistics.median(numerators) / statistics.median(denominators),
        minima=min(numerators) / min(denominators),
        spread=spread,
        rounds=len(logs),
    )


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios: that of the inverse ratios is its inverse."""
    return math.exp(statistics.fmean(map(math.log, values)))


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """p of the power law cost ~ size^p that fits best in logarithms."""
    slope, _ = statistics.linear_regression(list(map(math.log, sizes)), list(map(math.log, costs)))
    return slope


def crossing(
    sizes: Sequence[float], first: Sequence[float], second: Sequence[float]
) -> float | None:
    """The size from which on ``first`` costs less than ``second``, up to the last one measured.

    Between two sizes both costs are taken for power laws. None if ``first`` costs more at the last
    size; the first size if it costs less at all of them.
    """
    excess = [math.log(a / b) for a, b in zip(first, second, strict=True)]
    if excess[-1] >= 0:
        return None
    dearer = [i for i, value in enumerate(excess) if value >= 0]
    if not dearer:
        return sizes[0]
    i = dearer[-1]
    way = excess[i] / (excess[i] - excess[i + 1])
    return math.exp((1 - way) * math.log(sizes[i]) + way * math.log(sizes[i + 1]))
