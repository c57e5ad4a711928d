"""Time and memory of a forward pass against the number of tokens, on this machine.

Every model runs in a process of its own, so that its peak of memory is its own, and the models
take turns at every size, so that a busy moment of the machine falls on all alike. On a CPU they
run in one thread: what more of them bring depends on who else is using the machine.
"""

from __future__ import annotations

import json
import os
import queue
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mambaout.errors import MambaOutError, Sentence
from mambaout.evaluation.sequence import tokens

if TYPE_CHECKING:
    from torch import nn

PATCH = 16  # [px]; tokens are counted on this grid for all models, as in the paper
MODELS = ("mambaout_femto", "vim_tiny_patch16_224", "deit_tiny_patch16_224")
"""The smallest of each kind that the paper compares: 6 to 7 million parameters each."""
SIDES = (224, 320, 448, 640, 896)  # of square pictures [px]

_ROUNDS, _SECONDS = 5, 1.0  # a size is timed so often, or for so long
_POLL_SECONDS = 0.25
_PATIENCE_SECONDS = 120.0  # for one size, and for a process to begin


@dataclass(frozen=True)
class Point:
    """One model at one size.

    Attributes:
        model: name in timm's registry.
        side: of the square picture [px].
        tokens: of 16 x 16 pixels.
        seconds: the median of one forward pass.
        peak_bytes: beyond the model's own; None where this system does not tell.
    """

    model: str
    side: int
    tokens: int
    seconds: float
    peak_bytes: int | None


def growth(
    models: Sequence[str] = MODELS,
    sides: Sequence[int] = SIDES,
    device: str = "cpu",
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Point | None]:
    """Measure every model at every size, the small sizes first.

    Yields a point as soon as it is measured, and None several times a second in between. Whoever
    closes the generator ends the processes.

    Raises:
        MambaOutError: a process ended early or took too long; the text says which.
    """
    with ExitStack() as stack:
        meters = [stack.enter_context(_Meter(model, device)) for model in models]
        for side in sides:
            for meter in meters:
                meter.ask(side)
                begun = clock()
                while (point := meter.answer()) is None:
                    if clock() - begun > _PATIENCE_SECONDS:
                        raise MambaOutError(
                            Sentence(
                                "Measuring {model} at {side} pixels took longer than {seconds} "
                                "seconds: this machine is too busy for it now.",
                                model=meter.model,
                                side=side,
                                seconds=f"{_PATIENCE_SECONDS:.0f}",
                            )
                        )
                    yield None
                yield point


class _Meter:
    """A process that measures one model."""

    def __init__(self, model: str, device: str) -> None:
        self.model = model
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(  # noqa: S603 - this module itself
            [sys.executable, "-m", "mambaout.evaluation.growth", model, device],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self._lines: queue.Queue[str] = queue.Queue()
        self._errors: list[str] = []
        self._threads = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> _Meter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for thread in self._threads:
            thread.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                # A request that the process did not live to read.
                with suppress(BrokenPipeError):
                    pipe.close()

    def ask(self, side: int) -> None:
        """Have one size measured."""
        if self._process.stdin is None:
            raise ValueError("the process was started without a pipe")
        try:
            self._process.stdin.write(f"{side}\n")
            self._process.stdin.flush()
        except BrokenPipeError as error:
            raise self._ended() from error

    def answer(self) -> Point | None:
        """The point that was asked for; None if it has not come within a moment."""
        try:
            line = self._lines.get(timeout=_POLL_SECONDS)
        except queue.Empty:
            return None
        if not line:
            raise self._ended()
        return Point(**json.loads(line))

    def _ended(self) -> MambaOutError:
        self._process.wait()
        self._threads[1].join()
        status = Sentence("exit status {status}", status=self._process.returncode)
        why = self._errors[-1] if self._errors else status
        return MambaOutError(
            Sentence("Measuring {model} ended early ({why}).", model=self.model, why=why)
        )

    def _read(self) -> None:
        for line in self._process.stdout or ():
            self._lines.put(line)
        self._lines.put("")

    def _read_errors(self) -> None:
        self._errors += [line.strip() for line in self._process.stderr or () if line.strip()]


def measure(model: str, side: int, device: str) -> Point:
    """One model at one size, in this process."""
    import torch

    from mambaout.evaluation.peak_memory import give_back, peak_bytes

    network = _sized(model, side).to(device)
    image = torch.randn(1, 3, side, side, device=device)

    def run() -> None:
        with torch.inference_mode():
            network(image).cpu()  # waits for the device

    run()
    give_back()
    peak = peak_bytes(run, device)
    seconds: list[float] = []
    while len(seconds) < _ROUNDS and sum(seconds) < _SECONDS:
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    length = tokens(side, side, PATCH)
    return Point(model, side, length, statistics.median(seconds), peak)


def _sized(name: str, side: int) -> nn.Module:
    """The model for pictures of this side, untrained: time does not depend on weights."""
    import timm

    # A model without a table of positions takes any size, and no such argument.
    options: dict[str, Any] = {} if name.startswith("mambaout") else {"img_size": side}
    model: nn.Module = timm.create_model(name, **options)
    return model.eval().requires_grad_(False)


def main() -> None:
    """Measure the sizes that come on standard input; answer each with a line of JSON."""
    import torch

    model, device = sys.argv[1:]
    torch.set_num_threads(1)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(asdict(measure(model, int(line), device))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
