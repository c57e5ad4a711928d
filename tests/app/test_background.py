"""Work in a thread, watched from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from contextvars import ContextVar

import pytest

from app import background
from app.background import Abandoned, watched

variable = ContextVar("variable", default="of nobody")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(background, "POLL_SECONDS", 0.01)


def test_progress_is_told_and_the_result_comes_last():
    go = threading.Event()

    def work(progress):
        progress(3, 7)
        go.wait(10)
        return "result"

    steps = watched(work, str)
    assert next(step for step in steps if step != (None, "None")) == (None, "(3, 7)")
    go.set()
    *waiting, last = steps
    assert last == ("result", "")
    assert all(result is None for result, _ in waiting)


def test_an_error_is_raised_where_the_result_was_waited_for():
    def work(progress):
        raise TimeoutError("of the work itself")

    with pytest.raises(TimeoutError, match="itself"):
        list(watched(work, str))


def test_the_work_is_done_in_the_context_of_the_request():
    variable.set("of the request")
    assert list(watched(lambda progress: variable.get(), str)) == [("of the request", "")]


@pytest.mark.parametrize("finish", [False, True])
def test_work_that_nobody_waits_for_ends_unless_it_is_to_finish(finish):
    ended, closed = [], threading.Event()

    def work(progress):
        try:
            closed.wait(10)
            progress(1, 2)
        except Abandoned:
            ended.append("abandoned")
            raise
        ended.append("finished")

    steps = watched(work, str, finish=finish)
    next(steps)
    steps.close()
    closed.set()
    for _ in range(1000):
        if ended:
            break
        time.sleep(0.01)
    assert ended == ["finished" if finish else "abandoned"]


def test_one_work_after_another_is_done_in_the_same_thread():
    def where(_progress):
        return threading.get_ident()

    threads = []
    for _ in range(20):
        threads += [result for result, _ in watched(where, str) if result]
        for _ in range(1000):  # the thread is idle a moment after its result is there
            if background._idle:
                break
            time.sleep(0.01)
    assert len(set(threads)) < len(threads) / 2
    assert threading.get_ident() not in threads


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
def test_a_forked_process_has_threads_of_its_own():
    program = (
        "import os\n"
        "from app.background import watched\n"
        "def work(name): return [*watched(lambda _: name, str)][-1][0]\n"
        "assert work('page') == 'page'\n"
        "forked = os.fork()\n"
        "if forked == 0:\n"
        "    os._exit(0 if work('forked') == 'forked' else 1)\n"
        "raise SystemExit(os.waitpid(forked, 0)[1])\n"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60, check=False).returncode == 0
