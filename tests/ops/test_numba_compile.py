"""Kernels that are kept on disk, where several processes compile at the same time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mambaout import ops

OPS = Path(ops.__file__).parent
KERNELS = """
import numba as nb
from numba_compile import compiled  # alone: all of mambaout.ops would be slow

def kept_by_numba(signature, *form):
    return nb.njit(signature, cache=True)

def kernel(keep, lanes):
    @keep(nb.intp(), lanes)
    def number():
        return lanes
    return number
"""
# Neither of two processes sees the index of the other, and who saves an index last saves first.
AT_THE_SAME_TIME = """
import numba.core.caching as caching
file, late = caching.IndexDataCacheFile, []
save = file._save_data
file._load_index = lambda self: {}
file._save_data = lambda *what: late.append(what)
import kernels
for lanes in (16, 64):
    kernels.kernel(kernels.KEEP, lanes)
for what in reversed(late):
    save(*what)
"""
LATER = "import kernels; print(*(kernels.kernel(kernels.KEEP, lanes)() for lanes in (16, 64)))"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs programs whose kernels are kept in one way, in a folder of their own."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kept"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(OPS)]))

    def run(program, keep):
        (tmp_path / "kernels.py").write_text(f"{KERNELS}\nKEEP = {keep}\n")
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        return done.stdout.split()

    return run


@pytest.mark.parametrize(("keep", "found"), [("kept_by_numba", "16 16"), ("compiled", "16 64")])
def test_no_form_is_taken_for_another(run, keep, found):
    run(AT_THE_SAME_TIME, keep)
    assert run(LATER, keep) == found.split()


def test_a_kernel_is_compiled_once(run, tmp_path):
    def kept():
        return {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.nbc")}

    run(LATER, "compiled")
    first = kept()
    run(LATER, "compiled")
    assert kept() == first
    assert len(first) == 2
