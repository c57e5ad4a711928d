"""The GPU kernels through Triton's compiler, for GPUs that need not be there.

The interpreter forgives what the compiler does not, and knows nothing of registers. A kernel that
keeps its state in registers is worth having only while it fits into them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


# A100 and H100. Half precision is narrower than what the hardware copies asynchronously.
CASES = ["vmamba,80,bfloat16", "vim,90,float32"]


def compiled(*cases):
    """What a process without interpreter and GPU says of the kernels it compiled."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu_kernels", *cases],
        check=False, capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "TRITON_INTERPRET": "0"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_every_kernel_compiles_and_keeps_its_state_in_registers():
    pytest.importorskip("triton", reason="torch brings Triton on Linux only")
    kernels = compiled(*CASES)
    for n in (1, 16):
        names = {kernel["name"] for kernel in kernels if kernel["n"] == n}
        assert names == {"carry", "gradients", "scan", "segment_ends", "summarise"}
    for kernel in kernels:
        assert kernel["spilled"] == 0, kernel
        # All numbers of a channel's state are in one lane: C_t h_t costs no exchange of lanes.
        if kernel["name"] in {"carry", "scan", "segment_ends"}:
            assert kernel["exchanges"] == 0, kernel
