"""Memory that runs out at every stage of a request: room is made, and the next one is right."""

from __future__ import annotations

import gradio as gr
import numpy as np
import pytest
import torch

from app import text
from app.compare import request as request_module
from app.compare.handlers import View, ask_both
from app.events import spoken
from app.memory import ran_out, sparing
from app.store import DEFAULT_PAIR
from mambaout import explain

SHORTAGES = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:119] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
)
# What a request calls, and where it finds it.
STAGES = {"timed": request_module, "grad_cam": explain, "scan_trace": explain}


class FailingPart:
    """A part of a request that has no memory a given number of times."""

    def __init__(self, part, error, times):
        self.part, self.error, self.left = part, error, times

    def __call__(self, *args, **options):
        if self.left:
            self.left -= 1
            raise self.error
        return self.part(*args, **options)


@pytest.fixture
def ask(picture):
    """Asks as the page does; answers with the values of every place, the last ones."""

    def run(store):
        handler = spoken(sparing(store, ask_both, "status"))
        shown, lines = {}, []
        for values in handler(store, picture, DEFAULT_PAIR, "causal", "gradcam", View()):
            shown |= values
            lines += [values["status"]] if "status" in values else []
        return shown, lines

    return run


def equal(one, other):
    """Whether two results hold the same answers, heat maps and traces, bit for bit."""
    pairs = zip(one["result"].sides, other["result"].sides, strict=True)
    return all(
        np.array_equal(a.answer.probabilities, b.answer.probabilities)
        and np.array_equal(a.heat.values, b.heat.values)
        and len(a.trace or ()) == len(b.trace or ())
        for a, b in pairs
    )


@pytest.fixture(scope="module")
def right(store, picture):
    """What is said when there is memory."""
    return list(ask_both(store, picture, DEFAULT_PAIR, "causal", "gradcam", View()))[-1]


@pytest.mark.parametrize(
    ("stage", "error"),
    [*zip([*STAGES, "load"], SHORTAGES, strict=True)],
    ids=["forward", "heat", "trace", "load"],
)
def test_a_request_that_ran_out_is_answered_at_the_second_try(
    stage, error, new_store, build, ask, right, monkeypatch
):
    part = build if stage == "load" else getattr(STAGES[stage], stage)
    failing = FailingPart(part, error, times=1)
    store = new_store(build=failing) if stage == "load" else new_store()
    if stage != "load":
        monkeypatch.setattr(STAGES[stage], stage, failing)
    shown, lines = ask(store)
    assert failing.left == 0
    assert equal(shown, right)
    assert text.TRYING_AGAIN in lines
    assert lines[-1].startswith("Done in ")
    assert lines[-1].endswith(text.TRIED_AGAIN)


@pytest.mark.parametrize("stage", STAGES)
def test_the_request_after_one_that_failed_twice_is_right(
    stage, new_store, ask, right, monkeypatch
):
    store = new_store()
    failing = FailingPart(getattr(STAGES[stage], stage), SHORTAGES[0], times=2)
    monkeypatch.setattr(STAGES[stage], stage, failing)
    with pytest.raises(gr.Error) as caught:
        ask(store)
    assert caught.value.message == text.NO_MEMORY
    assert not any(store.holds(name) for name in DEFAULT_PAIR)  # the room is there
    shown, lines = ask(store)
    assert equal(shown, right)
    assert text.TRYING_AGAIN not in lines
    assert lines[-1].endswith(".")
    assert text.TRIED_AGAIN not in lines[-1]


def test_what_is_no_shortage_is_not_tried_again(new_store, ask, monkeypatch):
    failing = FailingPart(explain.grad_cam, RuntimeError("shapes do not fit"), times=1)
    monkeypatch.setattr(explain, "grad_cam", failing)
    with pytest.raises(gr.Error) as caught:
        ask(new_store())
    assert caught.value.message == text.UNEXPECTED
    assert not ran_out(ValueError("out of memory"))
    assert all(map(ran_out, SHORTAGES))


def test_the_second_try_runs_on_the_cpu(new_store):
    """A device of torch's that has no memory at all stands for an accelerator."""

    class OnADevice(new_store):
        device = "meta"

    store = OnADevice()
    seen = []

    def handler(name):
        for _ in range(2):  # steps may run on other threads, whose context is that of the request
            loaded = store.get(name)
            seen.append((loaded.device, next(loaded.model.parameters()).device.type))
            yield {"status": "Working"}
        if store.get(name).device != "cpu":
            raise torch.OutOfMemoryError("CUDA out of memory.")
        yield {"status": "Done."}

    *_, last = sparing(store, handler, "status")(DEFAULT_PAIR[0])
    assert seen == [("meta", "meta")] * 2 + [("cpu", "cpu")] * 2
    assert last == {"status": f"Done. {text.TRIED_ON_CPU}".replace("'", "&#x27;")}
    assert store.get(DEFAULT_PAIR[0]).device == "meta"  # nobody else was moved


def test_a_retry_that_is_stopped_stops(new_store):
    ended = []

    def handler():
        if not ended:
            ended.append("first")
            raise MemoryError
        try:
            while True:
                yield {}
        finally:
            ended.append("second")

    steps = sparing(new_store(), handler, "status")()
    for _ in range(3):
        next(steps)
    steps.close()
    assert ended == ["first", "second"]
