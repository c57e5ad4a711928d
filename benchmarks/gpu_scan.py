"""The scan on a CUDA device against what no code can go below, and against mamba-ssm's kernel.

The floor is the larger of two times: that of reading every input and writing every result once, at
the rate at which this device copies, and that of the exponentials, of which a multiprocessor
computes 16 per clock. mamba-ssm is measured where it can be imported.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from statistics import median
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import CASES, CHECKED_CASES, ScanCase, path_arguments, scan_arguments
from benchmarks.report import Goal, Result, milliseconds
from benchmarks.scan import ACTIVATIONS, check
from benchmarks.timing import Effort, Run, interleaved, ratio
from mambaout.ops import path_scan

GROUP = "gpu"
FLOOR = Goal("at most", 2)  # times the floor, where the device is full
THEIRS = Goal("at least", 1)  # mamba-ssm / ours
NAMES = ("vim_t_224_b1_bidi", "vmamba_t_s1", "vmamba_t_s2", "vmamba_t_s3", "vmamba_t_s4")
BATCHES, QUICK_BATCHES = (1, 8, 32, 128), (1, 128)
FULL_DEVICE = 32  # pictures from which on the goal of the floor holds
CALLS = 20  # between two waits for the device
EXPONENTIALS_PER_CLOCK = 16  # of a multiprocessor, compute capability 7.0 to 9.0


def measure(effort: Effort) -> Iterator[Result]:
    """Time over floor, and mamba-ssm's time over ours, forward and with gradients."""
    if not torch.cuda.is_available():
        print("gpu: there is no CUDA device here, nothing was measured", file=sys.stderr)
        return
    device = torch.device("cuda")
    for case in CHECKED_CASES:
        check(case, device)
    rate = _bytes_per_second(device, effort)
    for name in NAMES:
        for batch in QUICK_BATCHES if effort.quick else BATCHES:
            case = replace(CASES[name], batch=batch, gated=False)
            for dtype in (torch.float32, torch.bfloat16):
                yield from _case(case, dtype, rate, effort)


def _case(case: ScanCase, dtype: torch.dtype, rate: float, effort: Effort) -> Iterator[Result]:
    given = scan_arguments(case)
    arguments = {
        name: value.to("cuda", dtype if name in ACTIVATIONS else None)
        if isinstance(value, Tensor)
        else value
        for name, value in given.items()
    }
    ours = path_arguments(arguments)
    del ours["z"]
    for mode, timed in (("forward", _forward), ("forward and backward", _with_gradients)):
        runs: dict[str, Run] = {"ours": partial(timed, path_scan, ours)}
        theirs = _mamba_ssm()
        if theirs is not None:
            runs["mamba-ssm"] = partial(timed, theirs, arguments)
        times = interleaved(runs, effort)
        seconds = median(times["ours"]) / CALLS
        least = floor(case, dtype, rate, gradients=mode != "forward")
        label = f"{case.name}, {case.batch} pictures, {str(dtype)[6:]}, {mode}"
        goal = FLOOR if mode == "forward" and case.batch >= FULL_DEVICE else None
        note = milliseconds(seconds, least)
        yield Result(GROUP, f"{label}: ours / floor", seconds / least, goal=goal, note=note)
        if theirs is not None:
            measured = ratio(times["mamba-ssm"], times["ours"])
            yield Result.of(GROUP, f"{label}: mamba-ssm / ours", measured, goal=THEIRS)


def floor(case: ScanCase, dtype: torch.dtype, rate: float, *, gradients: bool) -> float:
    """The least seconds of one call, on this device.

    A forward pass reads u, delta, B and C and writes y, with one exponential per number of the
    state and two for the softplus. Backward, these are read again with the gradient of y, four
    gradients are written, and the exponentials are needed twice: the states are not kept.
    """
    rows = case.batch * case.tokens * case.channels
    shared = case.batch * case.tokens * case.groups * case.states
    size = torch.empty((), dtype=dtype).element_size()
    moved = (3 * rows + 2 * shared) * size
    exponentials = case.exponentials + 2 * rows
    if gradients:
        moved += (5 * rows + 4 * shared) * size
        exponentials *= 3
    about = torch.cuda.get_device_properties("cuda")
    clock = 1000 * about.clock_rate  # in kHz
    per_second = EXPONENTIALS_PER_CLOCK * about.multi_processor_count * clock
    return max(moved / rate, exponentials / per_second)


def _bytes_per_second(device: torch.device, effort: Effort) -> float:
    """Read and written by a copy that fits into no cache."""
    source = torch.ones(2**28, device=device)
    target = torch.empty_like(source)

    def copy() -> None:
        for _ in range(CALLS):
            target.copy_(source)
        torch.cuda.synchronize()

    seconds = min(interleaved({"copy": copy}, effort)["copy"])
    return 2 * source.nbytes * CALLS / seconds


def _forward(scan: Callable[..., Tensor], arguments: dict[str, Any]) -> None:
    with torch.inference_mode():
        for _ in range(CALLS):
            scan(**arguments)
    torch.cuda.synchronize()


def _with_gradients(scan: Callable[..., Tensor], arguments: dict[str, Any]) -> None:
    names = [name for name in ACTIVATIONS if arguments.get(name) is not None]
    leaves = {name: arguments[name].detach().requires_grad_() for name in names}
    for _ in range(CALLS):
        y = scan(**arguments | leaves)
        torch.autograd.grad(y, list(leaves.values()), torch.ones_like(y))
    torch.cuda.synchronize()


def _mamba_ssm() -> Callable[..., Tensor] | None:
    if find_spec("mamba_ssm") is None:
        return None
    from mamba_ssm.ops.selective_scan_interface import selective_scan_fn

    scan: Callable[..., Tensor] = selective_scan_fn
    return scan
