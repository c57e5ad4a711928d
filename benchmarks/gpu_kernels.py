"""Compile what the scan launches on a GPU, without one: a line of JSON for each kernel.

    python -m benchmarks.gpu_kernels vim,90,float32 vmamba,80,float16 …

Launches are recorded instead of made, with tensors that have a shape and no numbers. Then each is
compiled as the launch would have, for the named family's shapes, compute capability and dtype.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from mambaout.ops import triton_gradients, triton_kernels, triton_launch

TYPES = {torch.float32: "*fp32", torch.float16: "*fp16", torch.bfloat16: "*bf16"}
ALIGNED = [["tt.divisibility", 16]]
SHAPES = {"vim": (2, 1, 197, 384, 16), "vmamba": (4, 1, 784, 192, 1)}  # k, b, l, d, n
PROCESSORS = 132  # of an H100

Launch = tuple[Any, tuple[Any, ...], dict[str, Any]]  # a kernel, its arguments, its constants


class Recorder:
    """Stands in for a kernel, and notes what it is launched with."""

    def __init__(self, kernel: Any, launches: list[Launch]) -> None:
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        return lambda *arguments, **constants: self.launches.append(
            (self.kernel, arguments, constants)
        )


def recorded(shape: tuple[int, ...], dtype: torch.dtype) -> list[Launch]:
    """What a scan, its gradients, its summary and its states launch."""
    launches: list[Launch] = []
    for module, names in (
        (triton_kernels, ("carry", "scan", "segment_ends", "summarise")),
        (triton_gradients, ("gradients",)),
    ):
        for name in names:
            kernel = getattr(module, name)
            kernel = kernel.kernel if isinstance(kernel, Recorder) else kernel
            setattr(module, name, Recorder(kernel, launches))
    triton_launch.processors = lambda _: PROCESSORS
    k, b, length, d, n = shape

    def tensor(*sizes: int, dtype: torch.dtype = dtype) -> Tensor:
        return torch.empty(sizes, dtype=dtype, device="meta")

    u, delta = tensor(k, b, length, d), tensor(k, b, length, d)
    B, C = tensor(k, b, length, n), tensor(k, b, length, n)
    A = tensor(k, d, n, dtype=torch.float32)
    D, bias = tensor(k, d, dtype=torch.float32), tensor(k, d, dtype=torch.float32)
    reverse = (False, True) * (k // 2)
    triton_launch.forward(u, delta, A, B, C, D, bias, reverse, softplus=True)
    triton_launch.gradients(u, u, delta, A, B, C, D, bias, reverse, softplus=True, weights=True)
    triton_launch.summary(u, delta, A, B, C, reverse)
    triton_launch.states(u, delta, A, B, reverse)
    return launches


def compiled(launch: Launch, capability: int) -> Any:
    kernel, arguments, constants = launch
    signature: dict[str, Any] = {}
    known: dict[tuple[int, ...], Any] = {}
    attributes: dict[tuple[int, ...], Any] = {}

    def specialise(value: Any, path: tuple[int, ...], *, allowed: bool) -> Any:
        """An argument's type; notes what a launch would find out: that it is 1, or aligned."""
        if isinstance(value, tuple):
            parts = enumerate(value)
            return tuple(specialise(part, (*path, i), allowed=allowed) for i, part in parts)
        if isinstance(value, Tensor):
            attributes[path] = ALIGNED
            return TYPES[value.dtype]
        if value == 1 and allowed:
            known[path] = 1
            return "constexpr"
        if value % 16 == 0 and allowed:
            attributes[path] = ALIGNED
        return "i32"

    for i, parameter in enumerate(kernel.params):
        if parameter.is_constexpr:
            signature[parameter.name], known[i,] = "constexpr", constants[parameter.name]
        else:
            allowed = not parameter.do_not_specialize
            signature[parameter.name] = specialise(arguments[i], (i,), allowed=allowed)
    return triton.compile(
        ASTSource(kernel, signature, constexprs=known, attrs=attributes),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": constants["num_warps"]},
    )


def resources(binary: bytes) -> tuple[int, int]:
    """Registers of a thread, and bytes of memory that it uses because they do not suffice."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(binary)
        file.flush()
        listing = subprocess.run(  # noqa: S603 - Triton's own program
            [tool, "-res-usage", file.name], check=True, capture_output=True, text=True
        ).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+) .*LOCAL:(\d+)", listing)
    if found is None:
        raise ValueError(f"cuobjdump was to name registers and stack, it said {listing!r}")
    registers, stack, local = map(int, found.groups())
    return registers, stack + local


def main(*cases: str) -> None:
    for case in cases:
        family, capability, dtype = case.split(",")
        seen = set()
        for launch in recorded(SHAPES[family], getattr(torch, dtype)):
            kernel, _, constants = launch
            key = (kernel.__name__, *constants.items())
            if key in seen:
                continue
            seen.add(key)
            done = compiled(launch, int(capability))
            registers, spilled = resources(done.asm["cubin"])
            about = {
                "name": kernel.__name__,
                "n": constants["N"],
                "registers": registers,
                "spilled": spilled,
                "exchanges": len(re.findall(r"\bshfl", done.asm["ptx"])),
            }
            print(json.dumps(about))


if __name__ == "__main__":
    main(*sys.argv[1:])
