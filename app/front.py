"""Which tab each visitor has in front, so that work for one that was left ends."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from gradio.context import LocalContext

_MOST = 1000  # visitors; of those seen longest ago, it is not known what they look at


@dataclass(eq=False)
class _Visitor:
    front: str
    ended: set[str] = field(default_factory=set)  # tabs whose work ended before it was done


class Fronts:
    """The tab in front, for every visitor."""

    def __init__(self) -> None:
        self._visitors: OrderedDict[str, _Visitor] = OrderedDict()
        self._lock = threading.Lock()

    def bring(self, tab: str) -> bool:
        """Note that the visitor who is being answered has this tab in front.

        Returns:
            Whether work for it had ended before it was done.
        """
        name = _visiting()
        if name is None:
            return False
        with self._lock:
            visitor = self._visitors.setdefault(name, _Visitor(tab))
            self._visitors.move_to_end(name)
            while len(self._visitors) > _MOST:
                self._visitors.popitem(last=False)
            visitor.front = tab
            ended = tab in visitor.ended
            visitor.ended.discard(tab)
            return ended

    def while_there(
        self, tab: str, handler: Callable[..., Iterator[Any]], nothing: Any
    ) -> Callable[..., Iterator[Any]]:
        """A handler that ends at its next step once its tab has been left.

        Args:
            tab: that its answer is for.
            handler: a generator of updates.
            nothing: an update that changes nothing.
        """

        @functools.wraps(handler)
        def run(*inputs: Any) -> Iterator[Any]:
            # A generator that ends without a value would empty all its outputs.
            yield nothing
            if self._left(tab):
                return
            with closing(handler(*inputs)) as updates:  # type: ignore[type-var]
                for update in updates:
                    yield update
                    if self._left(tab):
                        return

        return run

    def _left(self, tab: str) -> bool:
        """Whether the visitor has another tab in front; that is noted as the end of its work."""
        with self._lock:
            visitor = self._visitors.get(_visiting() or "")
            if visitor is None or visitor.front == tab:
                return False
            visitor.ended.add(tab)
            return True


def _visiting() -> str | None:
    request = LocalContext.request.get(None)
    return getattr(request, "session_hash", None)
