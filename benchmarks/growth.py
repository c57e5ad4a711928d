"""Time and memory against the number of tokens.

Time is measured by turns in this process. Peak memory is that of a process of its own for every
model and size: `python -m benchmarks.growth MODEL SIDE` prints it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import torch
from torch import nn

from benchmarks.cases import growing_case, path_arguments, scan_arguments
from benchmarks.models import DEIT, MAMBAOUT, VIM, build, forward, picture
from benchmarks.report import Goal, Result, milliseconds
from benchmarks.scan import forward as scan_forward
from benchmarks.scan import gated_path_scan
from benchmarks.timing import Effort, Ratio, Run, crossing, exponent, interleaved, ratio
from mambaout.evaluation.peak_memory import give_back, peak_bytes

GROUP = "growth"
MODELS = (MAMBAOUT, VIM, DEIT)
QUICK_SIDES = (224, 448, 896)
SIDES = (224, 448, 672, 896, 1344)
SCAN = Goal("at most", 1.1)
ROOT = Path(__file__).parents[1]


def measure(effort: Effort) -> Iterator[Result]:
    """Exponents of the power laws, and where one model becomes the cheaper one."""
    sides = QUICK_SIDES if effort.quick else SIDES
    tokens = [(side // 16) ** 2 for side in sides]
    times: dict[str, list[list[float]]] = {}
    for side in sides:
        for name, seconds in interleaved(_runs(side), effort).items():
            times.setdefault(name, []).append(seconds)
    for name, by_side in times.items():
        goal = SCAN if name == SCAN_ALONE else None
        note = milliseconds(*map(median, by_side)) + f" at {_listed(sides)}"
        yield Result.of(GROUP, f"time ~ tokens^p, {name}", _fitted(tokens, by_side), goal, note)
    for other in (DEIT, MAMBAOUT):
        for side, ours, theirs in zip(sides, times[VIM], times[other], strict=True):
            note = milliseconds(median(ours), median(theirs))
            case = f"time at {side}, {VIM} / {other}"
            yield Result.of(GROUP, case, ratio(ours, theirs), note=note)
        middle = [list(map(median, times[name])) for name in (VIM, other)]
        at = crossing(sides, *middle)
        if at is not None:
            case = f"side from which {VIM} is faster than {other} [px]"
            yield Result(GROUP, case, at, note=f"measured {_listed(sides)}")
    yield from _memory(sides, tokens)


SCAN_ALONE = "the scan of Vim-Tiny"


def _runs(side: int) -> dict[str, Run]:
    image = picture(side)
    runs: dict[str, Run] = {name: partial(forward, sized(name, side), image) for name in MODELS}
    arguments = path_arguments(scan_arguments(growing_case(side)))
    runs[SCAN_ALONE] = partial(scan_forward, gated_path_scan, arguments)
    return runs


def sized(name: str, side: int) -> nn.Module:
    """The model for pictures of this side; a model without positions takes any."""
    return build(name) if name == MAMBAOUT else build(name, img_size=side)


def _fitted(tokens: Sequence[float], by_side: Sequence[Sequence[float]]) -> Ratio:
    """The exponent of the medians, with that of the shortest times; its spread is the rounds'."""
    rounds = min(map(len, by_side))
    exponents = [exponent(tokens, [times[i] for times in by_side]) for i in range(rounds)]
    spread = ratio(exponents, [1.0] * rounds).spread
    return Ratio(
        median=exponent(tokens, list(map(median, by_side))),
        minima=exponent(tokens, list(map(min, by_side))),
        spread=spread,
        rounds=rounds,
    )


def _memory(sides: Sequence[int], tokens: Sequence[int]) -> Iterator[Result]:
    peaks: dict[str, list[float]] = {}
    for name in MODELS:
        found = [_peak_elsewhere(name, side) for side in sides]
        if None in found:
            return  # not on this system
        peaks[name] = [peak for peak in found if peak is not None]
        note = _megabytes(peaks[name]) + f" at {_listed(sides)}"
        case = f"peak memory ~ tokens^p, {name}"
        goal = SCAN if name == VIM else None
        yield Result(GROUP, case, exponent(tokens, peaks[name]), goal=goal, note=note)
    for other in (DEIT, MAMBAOUT):
        last = peaks[VIM][-1], peaks[other][-1]
        case = f"peak memory at {sides[-1]}, {VIM} / {other}"
        yield Result(GROUP, case, last[0] / last[1], note=_megabytes(last))


def _listed(sides: Sequence[int]) -> str:
    return ", ".join(map(str, sides)) + " px"


def _megabytes(peaks: Sequence[float]) -> str:
    return " : ".join(f"{peak / 1e6:.3g}" for peak in peaks) + " MB"


def _peak_elsewhere(name: str, side: int) -> int | None:
    threads = str(torch.get_num_threads())
    answer = subprocess.run(  # noqa: S603 - this module itself
        [sys.executable, "-m", "benchmarks.growth", name, str(side), "--threads", threads],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
    )
    return int(answer.stdout) if answer.stdout.strip() != "unknown" else None


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the bytes that one forward pass of one model takes beyond those of the model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=main.__doc__)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("side", type=int)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(chosen.threads)
    forward(sized(chosen.model, 64), picture(64))  # the libraries' own memory, and their kernels
    model, image = sized(chosen.model, chosen.side), picture(chosen.side)
    give_back()
    peak = peak_bytes(partial(forward, model, image))
    print("unknown" if peak is None else peak)


if __name__ == "__main__":
    main()
