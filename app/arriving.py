"""The packages behind the models, imported once the page is up, while visitors are told so.

Importing them takes longer than everything else before the first answer of the page.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from app import text
from app.background import Progress, watched
from app.markup import escaped

# In this order in every thread, so that none waits for another in a circle; with their own names.
PACKAGES = {"torch": "PyTorch", "timm": "timm", "mambaout.models": "mambaout"}
_here = threading.Event()


def load(progress: Progress) -> None:
    """Import what is not imported yet; does nothing once that is done."""
    if _here.is_set():
        return
    for done, package in enumerate(PACKAGES):
        progress(done, len(PACKAGES))
        import_module(package)
    _here.set()


def once_here(handler: Callable[..., Iterator[Any]], status: Any = None) -> Callable[..., Any]:
    """A handler that waits for the packages, and says which one it waits for.

    Args:
        handler: a generator of updates by component.
        status: the component that is told; None where nobody reads on.
    """

    @functools.wraps(handler)
    def run(*inputs: Any) -> Iterator[Any]:
        if not _here.is_set():
            for _, words in watched(load, _words, finish=True):
                if status is not None and words:
                    yield {status: escaped(words)}
        yield from handler(*inputs)

    return run


def _words(progress: tuple[int, int | None] | None) -> str:
    titles = [*PACKAGES.values()]
    return text.arriving(titles[progress[0] if progress else 0])
