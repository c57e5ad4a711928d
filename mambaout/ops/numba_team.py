"""A kernel's jobs shared out among the threads that torch keeps for its own operators.

OpenMP's threads spin for a while after an operator, waiting for the next one; other threads would
have to take the processor from them. On Linux torch brings GNU's OpenMP, or one that speaks its
language, and a kernel can run in the very threads that ran the operator before it.
"""

from __future__ import annotations

import ctypes
import inspect
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from mambaout.ops.numba_compile import compiled

KernelOf = Callable[[int], Any]
"""Compiles a kernel for vectors of a number of lanes."""

_PREFIX = "mambaout_"  # of symbols: another OpenMP in the process has the plain names
_FUNCTIONS = ("GOMP_parallel", "omp_get_thread_num", "omp_get_num_threads")
_BYTES, _INT, _NOTHING = ir.IntType(8).as_pointer(), ir.IntType(32), ir.VoidType()

_kernels: dict[str, KernelOf] = {}


@cache
def has_team() -> bool:
    """Whether torch's own threads can be asked to run a kernel."""
    if sys.platform != "linux":
        return False
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        torch_and_what_it_needs = ctypes.CDLL(str(library))
        found = {name: getattr(torch_and_what_it_needs, name) for name in _FUNCTIONS}
    except (OSError, AttributeError):
        return False
    for name, function in found.items():
        binding.add_symbol(_PREFIX + name, ctypes.cast(function, ctypes.c_void_p).value)
    return True


@cache
def team_form(kernel_of: KernelOf, lanes: int) -> Any:
    """A kernel as a call ``(jobs, threads, arguments)`` that runs all jobs; only if `has_team`."""
    [signature] = kernel_of(lanes).nopython_signatures
    file = inspect.getfile(inspect.unwrap(kernel_of))
    name = f"{kernel_of.__module__}.{kernel_of.__qualname__}"
    _kernels[name] = kernel_of
    wanted = types.void(types.intp, types.intp, types.Tuple(signature.args[2:]))

    @compiled(wanted, name, lanes, Path(file).read_bytes())
    def team(jobs, threads, arguments):
        _share_out(name, lanes, jobs, threads, arguments)

    return team


@intrinsic(prefer_literal=True)
def _share_out(
    _context: Any, name: Any, lanes: Any, jobs: Any, threads: Any, arguments: Any
) -> tuple[Any, Callable[..., Any]]:
    kernel = _kernels[name.literal_value](lanes.literal_value)

    def share(first: Any, last: Any, arguments: Any) -> None:
        kernel(first, last, *arguments)

    share_type = types.void(types.intp, types.intp, arguments)

    def generate(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
        _, _, jobs, threads, given = values
        outside = builder.module
        handed = cgutils.alloca_once_value(
            builder, cgutils.pack_struct(builder, [_INT(0), jobs, given])
        )

        # What each thread runs, as C knows it: void task(void *).
        task = ir.Function(outside, ir.FunctionType(_NOTHING, [_BYTES]), "task")
        task.linkage = "internal"
        inside = ir.IRBuilder(task.append_basic_block())
        shared = inside.bitcast(task.args[0], handed.type)
        _, jobs, given = cgutils.unpack_tuple(inside, inside.load(shared), 3)
        place, size = (
            inside.sext(inside.call(_openmp(outside, name, _INT), ()), jobs.type)
            for name in _FUNCTIONS[1:]
        )
        first = inside.sdiv(inside.mul(jobs, place), size)
        last = inside.sdiv(inside.mul(jobs, inside.add(place, place.type(1))), size)
        compiled = context.compile_subroutine(inside, share, share_type)
        status, _ = context.call_internal_no_propagate(
            inside, compiled.fndesc, share_type, (first, last, given)
        )
        with inside.if_then(status.is_error, likely=False):
            inside.store(_INT(1), cgutils.gep_inbounds(inside, shared, 0, 0))
        inside.ret_void()

        run = _openmp(outside, _FUNCTIONS[0], _NOTHING, task.type, _BYTES, _INT, _INT)
        width = builder.trunc(threads, _INT)
        builder.call(run, (task, builder.bitcast(handed, _BYTES), width, _INT(0)))
        failed = builder.load(cgutils.gep_inbounds(builder, handed, 0, 0))
        with builder.if_then(cgutils.is_true(builder, failed), likely=False):
            context.call_conv.return_user_exc(
                builder, RuntimeError, ("a kernel failed in a thread: memory may have run out",)
            )
        return context.get_dummy_value()

    return types.void(name, lanes, types.intp, types.intp, arguments), generate


def _openmp(module: Any, name: str, result: Any, *given: Any) -> Any:
    return cgutils.get_or_insert_function(module, ir.FunctionType(result, given), _PREFIX + name)
