"""Where the arrays of results lie, and how much room they take."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
from PIL import Image

T = TypeVar("T")

# Most parts of a result, and the quickest to tell apart.
_PLAIN = (str, bytes, int, float, type(None))
# A mapping takes whole pages, and a process may have some ten thousands of them.
_LEAST_MAPPED_BYTES = 64 * 2**10


def size_of(value: Any) -> int:
    """Bytes of the arrays and pictures in a result; words and numbers are not counted."""
    return sum(
        leaf.nbytes
        if isinstance(leaf, np.ndarray)
        else leaf.width * leaf.height * len(leaf.getbands())
        for leaf in _leaves(value)
    )


def settled(value: T) -> T:
    """The same result with arrays of its own, in memory of its own, made when the work is over.

    An array that was made in the middle of it lies between blocks of many megabytes, which are free
    by now; one small array in such a place keeps the allocator from giving them out again whole.
    And results that come and go among everything else leave gaps. So those of some size lie in a
    mapping each, which the system takes back whole when the last of its arrays is gone.
    """
    arrays = [leaf for leaf in _leaves(value) if isinstance(leaf, np.ndarray)]
    size = sum(_rounded(array.nbytes) for array in arrays)
    return _moved(value, _Mapped(size).copy if size >= _LEAST_MAPPED_BYTES else np.ndarray.copy)


class _Mapped:
    """Memory of the system itself for the arrays of one result."""

    def __init__(self, size: int) -> None:
        self._memory = mmap.mmap(-1, size)
        self._used = 0

    def copy(self, array: np.ndarray) -> np.ndarray:
        """A copy that lies here, and keeps this memory for as long as it lives itself."""
        copied: np.ndarray
        if array.dtype.hasobject:
            copied = array.copy()
        else:
            copied = np.ndarray(array.shape, array.dtype, self._memory, self._used)
            copied[...] = array
            self._used += _rounded(array.nbytes)
        return copied


def _rounded(size: int) -> int:
    """Up to a whole number of cache lines, of 64 bytes each."""
    return -(-size // 64) * 64


def _leaves(value: Any) -> Iterator[np.ndarray | Image.Image]:
    """Every array and picture, wherever it is."""
    if isinstance(value, _PLAIN):
        return
    if isinstance(value, np.ndarray | Image.Image):
        yield value
        return
    parts: Iterable[Any] = ()
    if is_dataclass(value) and not isinstance(value, type):
        parts = (getattr(value, field.name) for field in fields(value))
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, Iterable):
        parts = value
    for part in parts:
        yield from _leaves(part)


def _moved(value: T, copy: Callable[[np.ndarray], np.ndarray]) -> T:
    """The same with every array copied; what holds no array stays the same object."""
    result: Any = value
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.ndarray):
        result = copy(value)
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        own = {name: _moved(part, copy) for name, part in parts.items()}
        changed = {name: part for name, part in own.items() if part is not parts[name]}
        result = replace(value, **changed) if changed else value
    elif isinstance(value, Mapping):
        own = {name: _moved(part, copy) for name, part in value.items()}
        result = own if any(own[name] is not value[name] for name in own) else value
    elif isinstance(value, tuple | list):
        items = [_moved(item, copy) for item in value]
        if any(item is not old for item, old in zip(items, value, strict=True)):
            result = type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return result  # type: ignore[no-any-return]
