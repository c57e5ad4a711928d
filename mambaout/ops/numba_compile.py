"""Compiling a kernel once, and keeping it on disk under a name that nothing else can have.

Numba numbers the files of a function's forms as they come, and writes an index of them before the
files themselves. Two processes that compile at the same time may give one number to two forms, and
from then on one form runs in place of the other: vectors that are too wide, or other arguments, and
memory is overwritten. A form that is alone in its index cannot be taken for another.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba as nb
from numba.core.registry import cpu_target


def compiled(signature: Any, *form: object) -> Callable[[Callable[..., Any]], Any]:
    """``numba.njit`` for a kernel of one signature that is kept on disk.

    Args:
        signature: its types.
        *form: what it encloses and is compiled for, say the number of lanes.
    """

    def compile_(function: Callable[..., Any]) -> Any:
        file = Path(function.__code__.co_filename)
        told = repr((signature, form, _code_in(file.parent), _here()))
        function.__qualname__ += f"_{hashlib.sha256(told.encode()).hexdigest()[:16]}"
        return nb.njit(signature, nogil=True, error_model="numpy", cache=True)(function)

    return compile_


@cache
def _code_in(folder: Path) -> str:
    """What numba does not look at: the code that is inlined from the other files of a kernel."""
    files = sorted({*folder.glob("numba_*.py"), *Path(__file__).parent.glob("numba_*.py")})
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@cache
def _here() -> tuple[object, ...]:
    """The compiler, and the processor that it compiles for."""
    return nb.__version__, *cpu_target.target_context.codegen().magic_tuple()
