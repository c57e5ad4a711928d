"""How much memory a call takes at its peak."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def peak_bytes(run: Callable[[], Any], device: str = "cpu") -> int | None:
    """How far the memory in use rises during a call; None where nobody counts.

    On CUDA, what torch's allocator gave out. Elsewhere the resident memory of this process, whose
    high-water mark the kernel sets back first: only Linux can.
    """
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return max(1, torch.cuda.max_memory_allocated() - before)
    marks, status = Path("/proc/self/clear_refs"), Path("/proc/self/statm")
    if not marks.exists():
        return None
    marks.write_text("5", encoding="ascii")
    before = int(status.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    run()
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    [peak] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return max(1, int(peak) * 1024 - before)


def give_back() -> None:
    """Return freed memory to the system: a call that found it there would seem to need none."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)
