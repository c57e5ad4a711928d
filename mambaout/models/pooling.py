"""How a classifier may pool the tokens it reads."""

from __future__ import annotations


def checked_pool(global_pool: str, *choices: str) -> str:
    """``global_pool`` if it is one of ``choices`` or "", which leaves the tokens as they are.

    Raises:
        ValueError: it is none of them.
    """
    if global_pool not in {*choices, ""}:
        known = ", ".join(f'"{choice}"' for choice in choices)
        raise ValueError(f'global_pool must be {known} or "", got {global_pool!r}')
    return global_pool
