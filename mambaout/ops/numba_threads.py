"""Sharing a kernel's jobs among as many threads as torch uses."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch

from mambaout.ops.numba_team import KernelOf, has_team, team_form


def in_threads(kernel_of: KernelOf, lanes: int, jobs: int, *arguments: Any) -> None:
    """Call ``kernel_of(lanes)(first, last, *arguments)`` so that all ``jobs`` are run once.

    By the threads of torch's own OpenMP where they can be had, also if it is only one: the same
    machine code runs for any number, so that no bit depends on it. Else by a few of Python's. Not
    with numba's threading layer: its pool would fight torch's.
    """
    threads = min(torch.get_num_threads(), jobs)
    if has_team():
        team_form(kernel_of, lanes)(jobs, threads, arguments)
    elif threads <= 1:
        kernel_of(lanes)(0, jobs, *arguments)
    else:
        in_python_threads(kernel_of(lanes), jobs, threads, *arguments)


def in_python_threads(kernel: Any, jobs: int, threads: int, *arguments: Any) -> None:
    """As `in_threads`, in Python's threads: a kernel lets go of the lock that they share."""
    bounds = [jobs * i // threads for i in range(threads + 1)]
    rest = [
        _pool(threads - 1).submit(kernel, bounds[i], bounds[i + 1], *arguments)
        for i in range(1, threads)
    ]
    kernel(0, bounds[1], *arguments)
    for future in rest:
        future.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="scan")


if hasattr(os, "register_at_fork"):  # a forked process has the pool, and none of its threads
    os.register_at_fork(after_in_child=_pool.cache_clear)
