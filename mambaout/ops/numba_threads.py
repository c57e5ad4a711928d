"""Sharing a kernel's jobs among as many threads as torch uses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import torch


def in_threads(kernel: Any, jobs: int, *arguments: Any) -> None:
    """Call ``kernel(first, last, *arguments)`` so that all ``jobs`` are run once.

    Not with numba's own threading layer: a second OpenMP pool would fight torch's.
    """
    threads = min(torch.get_num_threads(), jobs)
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
