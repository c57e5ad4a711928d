"""The two token mixings, by name."""

from __future__ import annotations

from typing import Literal, get_args

Mixing = Literal["bidirectional", "causal"]


def check_mixing(mixing: str) -> None:
    """Raise ValueError if there is no such mixing."""
    if mixing not in get_args(Mixing):
        raise ValueError(f"mixing must be one of {get_args(Mixing)}, got {mixing!r}")
