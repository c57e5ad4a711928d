"""How far a run is, how fast it goes and how long it will take, on standard error."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    """Counts up to ``total``: one line that changes on a terminal, a line now and then elsewhere.

    Args:
        what: is counted, such as "pictures".
        total: how many there will be.
        stream: where it is told (standard error if not given).
    """

    _EVERY_SECONDS = (0.2, 10.0)  # on a terminal, elsewhere

    def __init__(self, what: str, total: int, stream: TextIO | None = None) -> None:
        self._what, self._total = what, total
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._begun = time.monotonic()
        self._told = self._begun if not self._terminal else 0.0
        self._done = 0

    def add(self, count: int) -> None:
        """``count`` more are done."""
        self._done += count
        now = time.monotonic()
        last = self._done >= self._total
        if not last and now - self._told < self._EVERY_SECONDS[not self._terminal]:
            return
        self._told = now
        seconds = max(now - self._begun, 1e-6)
        text = progress_text(self._what, self._done, self._total, seconds)
        start, end = ("\r", "\n" if last else "") if self._terminal else ("", "\n")
        self._stream.write(f"{start}{text:<76}".rstrip(" " if end else "") + end)
        self._stream.flush()


def progress_text(what: str, done: int, total: int, seconds: float) -> str:
    """Such as "1,024 of 50,000 pictures, 98.3 a second, 8:18 left"."""
    rate = done / seconds
    minutes, left = divmod(round((total - done) / rate) if rate else 0, 60)
    hours, minutes = divmod(minutes, 60)
    clock = f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
    return f"{done:,} of {total:,} {what}, {rate:,.1f} a second, {clock} left"
