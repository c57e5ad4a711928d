"""Work that takes its time, done in a thread while the visitor is told how far it is."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
Progress = Callable[[int, int | None], None]  # how much is done, and of how much where it is known

POLL_SECONDS = 0.25


class Abandoned(Exception):
    """Nobody waits for this work any more."""


class _Worker(threading.Thread):
    """A thread for one work after another: what allocator and kernels keep for it is there then."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.works: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def run(self) -> None:
        while True:
            self.works.get()()
            with _lock:
                if len(_idle) >= _MOST_IDLE:
                    return
                _idle.append(self)


_idle: list[_Worker] = []
_lock = threading.Lock()
_MOST_IDLE = 4


def _forget() -> None:
    """In a forked process there are none of these threads, and the lock may be held by one."""
    global _lock  # noqa: PLW0603
    _idle.clear()
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _begin(work: Callable[[], None]) -> None:
    """Have a thread do the work, the one that was idle for the shortest time if there is one."""
    with _lock:
        worker = _idle.pop() if _idle else None
    if worker is None:
        worker = _Worker()
        worker.start()
    worker.works.put(work)


def watched(
    work: Callable[[Progress], T],
    words: Callable[[tuple[int, int | None] | None], str],
    *,
    finish: bool = False,
) -> Iterator[tuple[T | None, str]]:
    """Run `work` in a thread, and say several times a second how far it is; its result comes last.

    Args:
        work: is given a function to report its progress to.
        words: the status line for what was reported last, None before that.
        finish: where the caller is closed meanwhile, let the work go on to its end; otherwise it
            ends, with `Abandoned`, when it next reports its progress.

    Raises:
        Exception: whatever `work` raises.
    """
    arrived: list[tuple[int, int | None]] = []
    future: Future[T] = Future()
    left = threading.Event()

    def report(done: int, total: int | None) -> None:
        if left.is_set() and not finish:
            raise Abandoned
        arrived.append((done, total))

    def run() -> None:
        try:
            future.set_result(work(report))
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            future.set_exception(error)

    # In the context of the request, which says where models run and in which language.
    _begin(partial(copy_context().run, run))
    try:
        while True:
            try:
                result = future.result(timeout=POLL_SECONDS)
            except NotYet:
                if future.done():  # a TimeoutError of the work itself
                    raise
                yield None, words(arrived[-1] if arrived else None)
            else:
                yield result, ""
                return
    finally:
        left.set()
