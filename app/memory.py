"""When a device fails in the middle of a request: make room, try once more, and say so."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any

from app import text
from app.language import tr
from app.markup import escaped
from app.store import ModelStore, running_on

logger = logging.getLogger(__name__)

# What torch's allocators say where they raise a bare RuntimeError: that of CPUs, MPS and cuDNN.
_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


class NoDevice(Exception):
    """The device is not to be had now; models run on the CPU instead."""


def ran_out(error: BaseException) -> bool:
    """Whether `error` says that there was not enough memory, of the device or of the machine."""
    if isinstance(error, MemoryError):
        return True
    # Of a torch that is still being imported nothing can have been raised.
    if isinstance(error, getattr(sys.modules.get("torch"), "OutOfMemoryError", ())):
        return True
    return isinstance(error, RuntimeError | OSError) and any(
        words in str(error).lower() for words in _WORDS
    )


def sparing(
    store: ModelStore, handler: Callable[..., Iterator[Any]], status: Any = None
) -> Callable[..., Iterator[Any]]:
    """A handler that is run again, once, where memory ran out in it, or the device was not there.

    Where memory ran out, everything that can be loaded again is dropped first. Where models run on
    an accelerator, the second try runs on the CPU. A second failure is raised, with the memory free
    for the next one.

    Args:
        store: the models that the handler asks.
        handler: a generator of updates by component; what it yielded before is yielded anew.
        status: the component that is told; None where nobody reads on.
    """

    @functools.wraps(handler)
    def run(*inputs: Any) -> Iterator[Any]:
        try:
            yield from handler(*inputs)
        except NoDevice:
            before, after = text.WITHOUT_GPU, text.DONE_WITHOUT_GPU
        except Exception as error:
            if not ran_out(error):
                raise
            logger.warning("memory ran out (%s): trying once more", type(error).__name__)
            moved = store.device != "cpu"
            before, after = text.TRYING_AGAIN, text.TRIED_ON_CPU if moved else text.TRIED_AGAIN
        else:
            return
        # Here and not above: while the error is handled, its traceback keeps every tensor alive.
        if before is text.TRYING_AGAIN:
            store.free()
        yield from _said({status: tr(before)}, status)
        shown = ""
        try:
            for update in _on_cpu(handler(*inputs)):
                yield update
                shown = _words(update, status) or shown
        except Exception as error:
            if ran_out(error):
                store.free()
            raise
        yield from _said({status: f"{shown} {escaped(tr(after))}".strip()}, status)

    return run


def _on_cpu(updates: Iterator[Any]) -> Iterator[Any]:
    """Every step of a generator with models that run on the CPU: each may be on another thread."""
    try:
        while True:
            with running_on("cpu"):
                try:
                    update = next(updates)
                except StopIteration:
                    return
            yield update
    finally:
        if isinstance(updates, Generator):
            updates.close()


def _said(update: dict[Any, str], status: Any) -> Iterator[Any]:
    if status is not None:
        yield update


def _words(update: Any, status: Any) -> str:
    """What an update puts on the status line; nothing where it leaves that alone."""
    if status is None or not isinstance(update, dict) or status not in update:
        return ""
    value = getattr(update[status], "value", update[status])
    return value if isinstance(value, str) else ""
