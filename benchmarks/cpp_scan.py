"""The forward scan in C++, compiled on the spot where there is a compiler: what ours is held to."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

SOURCE = Path(__file__).with_suffix(".cpp")
_FLAGS = (
    "-O3",
    "-march=native",
    "-ffp-contract=fast",
    "-fno-math-errno",
    "-fopenmp",
    "-shared",
    "-fPIC",
)
_WIDTH = 16  # channels of a vector of the source


@cache
def compiled(vectors: int) -> Any | None:
    """The function `scan` for tiles of so many vectors, or None where there is no g++."""
    compiler = shutil.which("g++")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "scan.so"
        command = [compiler, *_FLAGS, f"-DVECTORS={vectors}", str(SOURCE), "-o", str(library)]
        subprocess.run(command, check=True, timeout=120)  # noqa: S603 - a source of this folder
        function = ctypes.CDLL(str(library)).scan  # stays mapped when the file is gone
    function.argtypes = [ctypes.c_int] + [ctypes.c_int64] * 5 + [ctypes.c_void_p] * 8
    function.restype = None
    return function


def takes(d: int) -> bool:
    """Whether there is a compiler, and a kernel for so many channels."""
    vectors = _vectors(d)
    return vectors is not None and compiled(vectors) is not None


def _vectors(d: int) -> int | None:
    return next((count for count in (4, 2) if d % (count * _WIDTH) == 0), None)


def cpp_path_scan(
    u: Tensor,
    delta: Tensor,
    A: Tensor,
    B: Tensor,
    C: Tensor,
    D: Tensor,
    delta_bias: Tensor,
) -> Tensor:
    """As `mambaout.ops.path_scan`, all paths forward, for contiguous float32 tensors.

    Raises:
        ValueError: the number of channels is no multiple of 32.
    """
    k, b, length, d = u.shape
    vectors = _vectors(d)
    scan = None if vectors is None else compiled(vectors)
    if scan is None:
        raise ValueError(f"expected g++ and a multiple of {2 * _WIDTH} channels, got {d}")
    out = torch.empty_like(u)
    tensors = (u, delta, A, B, C, D, delta_bias, out)
    pointers = [t.data_ptr() for t in tensors]
    jobs = k * b * (d // (vectors * _WIDTH))
    scan(min(torch.get_num_threads(), jobs), jobs, b, length, d, A.shape[2], *pointers)
    return out
