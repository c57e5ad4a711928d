"""Writing files that are whole or not there, and telling what differs from an earlier run."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """``write`` to a neighbour of ``path``, then rename: readers see the old file or the new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        write(partial)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replace ``path`` by ``text``."""
    atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace ``path`` by ``value`` as indented JSON."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def differences(stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The entries in which two configurations differ, as readable lines."""
    return [
        f"{key}: {stored.get(key)!r} there, {wanted.get(key)!r} now"
        for key in sorted(set(stored) | set(wanted))
        if stored.get(key) != wanted.get(key)
    ]
