"""How long until something is there: the library imported, the page answered."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from http.client import HTTPException
from pathlib import Path
from statistics import median
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from benchmarks.report import Goal, Result
from benchmarks.timing import Effort, Run, interleaved, ratio

GROUP = "start"
ROOT = Path(__file__).parents[1]
PAGE = Goal("at most", 2)
_PATIENCE_SECONDS = 120
_POLL_SECONDS = 0.02

BARE_PAGE = """
import sys
import gradio as gr
with gr.Blocks(analytics_enabled=False) as demo:
    gr.Markdown("A bare page.")
demo.launch(server_port=int(sys.argv[1]), quiet=True)
"""


def measure(effort: Effort) -> Iterator[Result]:
    """Fresh processes by turns; what the disk has cached stays cached."""
    whole = replace(
        effort, rounds=3 if effort.quick else 7, least_seconds=0, clock=time.perf_counter
    )
    imports = {
        "import mambaout": partial(_import, "import mambaout"),
        "import torch, timm": partial(_import, "import torch, timm"),
    }
    yield _compared(imports, whole)
    pages: dict[str, Run] = {
        "first answer of the page": partial(_first_answer, ["app.py", "--offline", "--port"]),
        "of a bare gradio page": partial(_first_answer, ["-c", BARE_PAGE]),
    }
    yield _compared(pages, whole, PAGE)


def _compared(runs: Mapping[str, Run], effort: Effort, goal: Goal | None = None) -> Result:
    times = interleaved(runs, effort)
    ours, other = times.values()
    note = f"{median(ours):.2f} : {median(other):.2f} s"
    return Result.of(GROUP, " / ".join(times), ratio(ours, other), goal, note)


def _environment() -> dict[str, str]:
    return os.environ | {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


def _import(program: str) -> None:
    subprocess.run(  # noqa: S603 - this interpreter
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=_environment(),
        check=True,
        timeout=_PATIENCE_SECONDS,
    )


def _first_answer(arguments: Sequence[str]) -> None:
    """Start a page on a free port, wait until it answers, and end it.

    Raises:
        RuntimeError: it ended by itself.
        TimeoutError: it does not answer.
    """
    port = _free_port()
    process = subprocess.Popen(  # noqa: S603 - this interpreter
        [sys.executable, *arguments, str(port)],
        cwd=ROOT,
        env=_environment(),
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(f"http://127.0.0.1:{port}/", process)
    finally:
        process.kill()  # it has nothing to save, and a polite end would be timed too
        process.wait()


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    opener = build_opener(ProxyHandler({}))
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the page ended with status {process.returncode}, unasked")
        try:
            with opener.open(address, timeout=5) as answer:
                if answer.status == 200:
                    return
        except (URLError, HTTPException, OSError):
            time.sleep(_POLL_SECONDS)
    raise TimeoutError(f"no answer from {address} within {_PATIENCE_SECONDS} seconds")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
