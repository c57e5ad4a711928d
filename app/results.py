"""What models have said, kept for whoever asks the same again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
from PIL import Image

T = TypeVar("T")

# Most parts of a result, and the quickest to tell apart.
_PLAIN = (str, bytes, int, float, type(None))


def picture_digest(picture: Image.Image) -> str:
    """SHA-256 of a decoded picture's size, mode and pixels, in hexadecimal.

    Two files that decode to the same pixels have the same digest, whatever their names and
    metadata.
    """
    digest = hashlib.sha256(f"{picture.mode} {picture.width} {picture.height} ".encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()


def size_of(value: Any) -> int:
    """Bytes of the arrays and pictures in a result; words and numbers are not counted."""
    if isinstance(value, _PLAIN):
        return 0
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, Image.Image):
        return value.width * value.height * len(value.getbands())
    parts: Iterable[Any] = ()
    if is_dataclass(value) and not isinstance(value, type):
        parts = (getattr(value, field.name) for field in fields(value))
    elif isinstance(value, Mapping):
        parts = value.values()
    elif isinstance(value, Iterable):
        parts = value
    return sum(map(size_of, parts))


def settled(value: T) -> T:
    """The same result with arrays of its own, made now that the work is over.

    An array that was made in the middle of it lies between blocks of many megabytes, which are free
    by now; one small array in such a place keeps the allocator from giving them out again whole.
    """
    result: Any = value
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, np.ndarray):
        result = value.copy()
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
        own = {name: settled(part) for name, part in parts.items()}
        changed = {name: part for name, part in own.items() if part is not parts[name]}
        result = replace(value, **changed) if changed else value
    elif isinstance(value, Mapping):
        own = {name: settled(part) for name, part in value.items()}
        result = own if any(own[name] is not value[name] for name in own) else value
    elif isinstance(value, tuple | list):
        items = [settled(item) for item in value]
        if any(item is not old for item, old in zip(items, value, strict=True)):
            result = type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return result  # type: ignore[no-any-return]


class Results:
    """A bounded cache: what was asked for last stays, and the rest goes when there is no room.

    A key has to name everything that decides the result. Results are shared among requests, so
    nobody may change one. Several threads may ask at the same time; two that ask the same new thing
    both compute it, and one result is kept.

    Args:
        capacity: bytes of arrays and pictures to keep.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """What is kept now, by `size_of`."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The result for `key`, made now unless it is kept. What `make` raises is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                kept: T = self._kept[key][0]
                return kept
        value = settled(make())
        size = size_of(value)
        with self._lock:
            if size <= self.capacity and key not in self._kept:
                self._kept[key] = (value, size)
                self._bytes += size
            while self._bytes > self.capacity:
                _, (_, freed) = self._kept.popitem(last=False)
                self._bytes -= freed
        return value
