"""Models brought into memory while the visitor is told how far that is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextvars import copy_context

from app import text
from app.store import LoadedModel, ModelStore

_POLL_SECONDS = 0.25


def loading(store: ModelStore, name: str, title: str) -> Iterator[tuple[LoadedModel | None, str]]:
    """Load in a thread, and say several times a second how far it is; the model comes last.

    A caller that is closed meanwhile leaves the thread to finish: what was downloaded is kept.
    """
    if store.holds(name):
        yield store.get(name), text.asking(title)
        return
    arrived: list[tuple[int, int | None]] = []
    future: Future[LoadedModel] = Future()

    def load() -> None:
        try:
            future.set_result(store.get(name, lambda done, total: arrived.append((done, total))))
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            future.set_exception(error)

    # With the request's context, in which the store is told where to load it.
    context = copy_context()
    threading.Thread(target=context.run, args=(load,), name=f"load {name}", daemon=True).start()
    while True:
        try:
            model = future.result(timeout=_POLL_SECONDS)
        except NotYet:
            if future.done():  # a TimeoutError of the loading itself
                raise
            yield None, text.loading(title, arrived[-1] if arrived else None)
        else:
            yield model, text.asking(title)
            return
