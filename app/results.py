"""What models have said, kept for whoever asks the same again."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from PIL import Image

from app.result_memory import settled, size_of

T = TypeVar("T")


def picture_digest(picture: Image.Image) -> str:
    """SHA-256 of a decoded picture's size, mode and pixels, in hexadecimal.

    Two files that decode to the same pixels have the same digest, whatever their names and
    metadata.
    """
    digest = hashlib.sha256(f"{picture.mode} {picture.width} {picture.height} ".encode())
    digest.update(picture.tobytes())
    return digest.hexdigest()


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
