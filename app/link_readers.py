"""What the words of a link mean, or may not say: a list, a form or bounds for every option."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Any

Read = Callable[[str], Any]  # a value that may be chosen, or None


def one_of(allowed: Collection[str]) -> Read:
    """A choice among names."""
    return lambda words: words if words in allowed else None


def some_of(allowed: Collection[str]) -> Read:
    """Any number of names, with commas between them."""

    def read(words: str) -> list[str] | None:
        names = words.split(",")
        return names if set(names) <= set(allowed) and len(set(names)) == len(names) else None

    return read


def whole(least: int, greatest: int) -> Read:
    """A whole number within bounds."""

    def read(words: str) -> int | None:
        # Not isdigit, which has digits that int() does not know.
        if not re.fullmatch(r"[0-9]{1,6}", words):
            return None
        return int(words) if least <= int(words) <= greatest else None

    return read


def like(pattern: str) -> Read:
    """Words of one form, for names that are known once models have answered."""
    return lambda words: words if re.fullmatch(pattern, words) else None


def yes_or_no(words: str) -> bool | None:
    """Whether a box is checked."""
    return {"1": True, "0": False}.get(words)
