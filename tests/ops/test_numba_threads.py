"""Jobs of a kernel run once each, in whatever threads, and a failure is not lost."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import numba as nb
import numpy as np
import pytest
import torch

from mambaout.ops import numba_threads, path_scan
from mambaout.ops.numba_kernels import array
from mambaout.ops.numba_team import has_team, team_form
from mambaout.ops.numba_threads import in_python_threads, in_threads
from tests.ops.test_layer_scan import normal

needs_team = pytest.mark.skipif(not has_team(), reason="torch brings no OpenMP that can be asked")


@cache
def counting_kernel(lanes):
    signature = nb.void(nb.intp, nb.intp, array(1), nb.types.UniTuple(array(1), 2))

    @nb.njit(signature, nogil=True)
    def count(first, last, out, given):
        for job in range(first, last):
            out[job] += given[0][job] + lanes * given[1][job]

    return count


@cache
def failing_kernel(_lanes):
    @nb.njit(nb.void(nb.intp, nb.intp, nb.intp), nogil=True)
    def fail(first, last, at):
        if first <= at < last:
            raise ValueError("asked to")

    return fail


@pytest.fixture
def threads():
    """Sets torch's number of threads, and sets it back."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.fixture(params=[pytest.param(True, marks=needs_team), False], ids=["team", "python"])
def team(request, monkeypatch):
    monkeypatch.setattr(numba_threads, "has_team", lambda: request.param)


@pytest.mark.usefixtures("team")
@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("jobs", [0, 1, 2, 5, 64])
def test_every_job_runs_once(jobs, count, threads):
    threads(count)
    out, given = np.zeros(jobs, np.float32), np.arange(jobs, dtype=np.float32)
    for _ in range(3):
        in_threads(counting_kernel, 2, jobs, out, (given, given))
    assert np.array_equal(out, 3 * 3 * given)


BROUGHT = sorted((Path(torch.__file__).parent / "lib").glob("libgomp*"))


@pytest.mark.skipif(not BROUGHT, reason="this torch brings no OpenMP of GNU's")
def test_the_openmp_that_torch_brings_can_be_asked():
    """Or every test of the team would be skipped, and nobody would see why all is slower."""
    assert has_team()


@needs_team
@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted as Linux counts them")
def test_the_team_is_torchs_own():
    """In a process of its own, whose number of threads says who made some."""
    program = """
import os, numpy as np, torch
from mambaout.ops import numba_threads
from tests.ops.test_numba_threads import counting_kernel
numba_threads.team_form(counting_kernel, 2)  # compiled
torch.set_num_threads(3)
torch.randn(2_000_000).exp()
given = np.ones(64, np.float32)
for has_team in (numba_threads.has_team, lambda: False):
    numba_threads.has_team = has_team
    before = len(os.listdir("/proc/self/task"))
    numba_threads.in_threads(counting_kernel, 2, 64, given.copy(), (given, given))
    print(len(os.listdir("/proc/self/task")) - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    by_team, by_python = map(int, done.stdout.split())
    assert by_team == 0
    assert by_python > 0


@needs_team
def test_a_failure_in_any_thread_is_raised():
    team = team_form(failing_kernel, 0)
    team(8, 2, (8,))
    for at in (0, 7):
        with pytest.raises(RuntimeError, match="a kernel failed in a thread"):
            team(8, 2, (at,))
        with pytest.raises(ValueError, match="asked to"):
            in_python_threads(failing_kernel(0), 8, 2, at)


@needs_team
@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_process_with_one_thread_has_a_team_of_one():
    """As the workers of a DataLoader are, whose parent has used a team of several before."""
    program = """
import os, numpy as np, torch
from mambaout.ops.numba_threads import in_threads
from tests.ops.test_numba_threads import counting_kernel
given = np.ones(64, np.float32)
def asked(threads):
    torch.set_num_threads(threads)
    out = np.zeros(64, np.float32)
    in_threads(counting_kernel, 2, 64, out, (given, given))
    return bool((out == 3).all())
assert asked(3)
forked = os.fork()
if forked == 0:
    os._exit(0 if asked(1) else 1)
assert asked(3)
raise SystemExit(os.waitpid(forked, 0)[1])
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0


@needs_team
def test_any_number_of_threads_runs_the_same_machine_code(monkeypatch, threads):
    """What is compiled twice may add up in two orders."""
    asked = []
    monkeypatch.setattr(
        numba_threads, "team_form", lambda *which: lambda jobs, count, _: asked.append(count)
    )
    for count in (1, 2):
        threads(count)
        in_threads(counting_kernel, 2, 8)
    assert asked == [1, 2]


@pytest.mark.usefixtures("team")
def test_a_scan_is_the_same_in_any_number_of_threads_and_in_several_callers(threads):
    shape = (2, 3, 17, 96)
    given = {
        "u": normal(*shape, seed=1),
        "delta": normal(*shape, seed=2),
        "delta_bias": normal(2, 96, seed=7),
        "A": -normal(2, 96, 16, seed=3).exp(),
        "B": normal(2, 3, 17, 16, seed=4),
        "C": normal(2, 3, 17, 16, seed=5),
        "D": normal(2, 96, seed=6),
        "reverse": (False, True),
    }
    threads(1)
    alone = path_scan(**given)

    def once(_):
        threads(3)  # OpenMP keeps the number for each thread that asks
        return path_scan(**given)

    with ThreadPoolExecutor(4) as callers:
        assert all(torch.equal(out, alone) for out in callers.map(once, range(40)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_pythons_threads_are_those_of_the_process_that_asks():
    program = """
import os, time
from mambaout.ops.numba_threads import in_python_threads
def kernel(first, last, done): time.sleep(0.05); done.extend(range(first, last))
def asked(): done = []; in_python_threads(kernel, 4, 2, done); return sorted(done) == [0, 1, 2, 3]
assert asked()
forked = os.fork()
if forked == 0:
    os._exit(0 if asked() else 1)
raise SystemExit(os.waitpid(forked, 0)[1])
"""
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
