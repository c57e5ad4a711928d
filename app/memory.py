"""When memory runs out in the middle of a request: make room, try once more, and say so."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any

from app import text
from app.language import tr
from app.markup import escaped
from app.store import ModelStore

logger = logging.getLogger(__name__)

# What torch's allocators say where they raise a bare RuntimeError: that of CPUs, MPS and cuDNN.
_WORDS = ("out of memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


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
    """A handler that is run again, once, where memory ran out in it.

    Everything that can be loaded again is dropped first. Where models run on an accelerator, the
    second try runs on the CPU. A second failure is raised, with the memory free for the next one.

    Args:
        store: the models that the handler asks.
        handler: a generator of updates by component; what it yielded before is yielded anew.
        status: the component that is told; None where nobody reads on.
    """

    @functools.wraps(handler)
    def run(*inputs: Any) -> Iterator[Any]:
        try:
            yield from handler(*inputs)
        except Exception as error:
            if not ran_out(error):
                raise
            logger.warning("memory ran out (%s): trying once more", type(error).__name__)
        else:
            return
        # Here and not above: while the error is handled, its traceback keeps every tensor alive.
        store.free()
        moved = store.device != "cpu"
        yield from _said({status: tr(text.TRYING_AGAIN)}, status)
        shown = ""
        try:
            for update in _on_cpu(store, handler(*inputs)):
                yield update
                shown = _words(update, status) or shown
        except Exception as error:
            if ran_out(error):
                store.free()
            raise
        note = escaped(tr(text.TRIED_ON_CPU) if moved else tr(text.TRIED_AGAIN))
        yield from _said({status: f"{shown} {note}".strip()}, status)

    return run


def _on_cpu(store: ModelStore, updates: Iterator[Any]) -> Iterator[Any]:
    """Every step of a generator with models that run on the CPU: each may be on another thread."""
    try:
        while True:
            with store.on_cpu():
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
