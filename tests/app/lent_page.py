"""A page on a machine whose GPU is lent by the call: asked for everything, told as JSON.

A process of its own, because it forks: python -m tests.app.lent_page
"""

from __future__ import annotations

import json
import os
import sys
from itertools import islice

import numpy as np
import torch
from PIL import Image

import tests.conftest  # noqa: F401 - the environment of tests
from app import gpu
from app.compare import request as request_module
from app.compare.handlers import View, ask_both
from app.language import speaking
from app.memory import NoDevice
from app.safe_image import SafeImage
from app.store import DEFAULT_PAIR, moved_to
from app.ui import build_demo
from tests.app import spaces_double
from tests.app.conftest import UntrainedStore
from tests.app.serving import Caller, launched, png

CHOICES = {
    "classify": (DEFAULT_PAIR[1], "causal", 3),
    "compare": (*DEFAULT_PAIR, "causal", "gradcam"),
    "token_reads": (DEFAULT_PAIR[1], "causal", "", "scan", 3, 4),
}


def noise(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((180, 120), Image.Resampling.BILINEAR)


class LentPage:
    """The page, and what it tells."""

    def __init__(self):
        self.store = UntrainedStore()
        self.demo = build_demo(self.store)
        gpu.preload(self.store)
        # What the button "Compare" does: it asks the tab in front.
        self.event = max(
            (fn for fn in self.demo.fns.values() if fn.concurrency_id == "model"),
            key=lambda fn: len(fn.inputs),
        )

    def ask(self, tab, picture, steps=None):
        """The last value of every component by its name, all lines of status, calls of a GPU.

        After so many steps the visitor leaves.
        """
        spaces_double.calls.clear()
        values = [
            picture if isinstance(part, SafeImage) else getattr(part, "value", None)
            for part in self.event.inputs
        ]
        last, lines = {}, []
        updating = self.event.fn(tab, *values[1:])
        for updates in islice(updating, steps):
            for part, update in updates.items():
                name = part.elem_id or type(part).__name__
                if name.endswith("status") and isinstance(getattr(update, "value", update), str):
                    lines.append(getattr(update, "value", update))
                else:
                    last[name] = update
        updating.close()
        return last, [line for line in lines if line], [*spaces_double.calls]


def arrays(comparison):
    return [
        array
        for side in comparison.sides
        for array in (
            side.answer.probabilities,
            side.heat.values,
            *(p.delta for p in side.trace or ()),
        )
    ]


def equal(one, other):
    return len(one) == len(other) > 4 and all(map(np.array_equal, one, other))


def on_the_page():
    page, told = LentPage(), {}
    last, lines, told["calls"] = page.ask("compare", noise(1))
    [found] = [v for v in last.values() if hasattr(v, "sides")]
    *_, right = ask_both(
        UntrainedStore(), noise(1), DEFAULT_PAIR, "bidirectional", "gradcam", View()
    )
    told["right"] = equal(arrays(found), arrays(right["result"]))
    told["lines"] = lines
    told["computed here"] = len(page.store.results)
    for tab, steps in (("lens", 20), ("mixing", None)):
        _, lines, calls = page.ask(tab, noise(2), steps)
        told[tab] = {"calls": len(calls), "last": lines[-1], "lines": len(set(lines))}
    told["computed here"] += len(page.store.results)
    with speaking("fr"):
        _, lines, _ = page.ask("compare", noise(3))
        told["in French"] = lines[-1]
    spaces_double.refusing.append(True)
    last, lines, calls = page.ask("compare", noise(1))
    [found] = [v for v in last.values() if hasattr(v, "sides")]
    told["refused"] = {
        "calls": len(calls), "lines": lines, "computed here": len(page.store.results),
        "right": equal(arrays(found), arrays(right["result"])),
    }  # fmt: skip
    spaces_double.refusing.clear()
    return told


def by_programs():
    told = {}
    picture = png(noise(1))
    with launched(UntrainedStore()) as address, Caller(address) as caller:
        uploaded = caller.upload(picture)
        for name, values in CHOICES.items():
            spaces_double.calls.clear()
            told[name] = [*caller.call(name, uploaded, *values), len(spaces_double.calls)]
        values = (DEFAULT_PAIR[1], "causal", "", "scan", 99, 0)
        told["no such patch"] = caller.call("token_reads", uploaded, *values)
    return told


def what_fails():
    """A tensor that would cross, and memory that runs out there; how each ends."""
    store, ends = UntrainedStore(), {}

    def tensors():
        yield torch.ones(3)

    def tracing(*arguments):
        if moved_to() == gpu.DEVICE:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return np.ones(3)

    def short():
        yield request_module.scan_trace()

    request_module.scan_trace = tracing  # before the process is forked
    for name, work in (("tensor", tensors), ("memory", short)):
        gpu._decorated.cache_clear()  # a new process, which knows this task
        try:
            ends[name] = len([*gpu.lent(store, work)()])
        except NoDevice:
            ends[name] = "no device"
    return ends


def main():
    torch.set_num_threads(1)
    os.environ["SPACES_ZERO_GPU"] = "true"
    sys.modules["spaces"] = spaces_double
    gpu.DEVICE = "cpu"
    told = {"page": on_the_page()}
    gpu._decorated.cache_clear()
    told["programs"] = by_programs()
    told["failures"] = what_fails()
    sys.stdout.write(f"{json.dumps(told)}\n")


if __name__ == "__main__":
    main()
