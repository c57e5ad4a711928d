"""Views of a model that an explanation may hook, kept for the next one where that is safe.

A view costs about as much as half a forward pass of a small model. It can only be kept if nobody
changes the model in between, which its owner has to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from torch import nn

View = Callable[[nn.Module], nn.Module]  # makes a view of a model

_MOST = 2  # of each kind: more are made where more threads explain at once, and not kept
_kept: WeakKeyDictionary[nn.Module, dict[View, list[nn.Module]]] = WeakKeyDictionary()
_lock = threading.Lock()


def keep_views(model: nn.Module) -> None:
    """Say that nobody changes ``model`` any more, so that explanations may keep views of it.

    Holds for its modules, hooks, modes and tensors, values included, for as long as it lives.
    """
    with _lock:
        _kept.setdefault(model, {})


@contextmanager
def lent_view(model: nn.Module, view: View) -> Iterator[nn.Module]:
    """A view of ``model`` for the caller alone, until the block ends.

    The caller takes its hooks off again. After an error the view is not used again.

    Args:
        model: is not changed.
        view: makes the view; always the same function for the same kind.
    """
    with _lock:
        pool = _kept.get(model)
        idle = None if pool is None else pool.setdefault(view, [])
        found = idle.pop() if idle else None
    lent = view(model) if found is None else found
    yield lent
    with _lock:
        if idle is not None and len(idle) < _MOST:
            idle.append(lent)
