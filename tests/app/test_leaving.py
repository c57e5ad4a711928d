"""Visitors who stop, hang up or close the page: the work they asked for ends, and others go on."""

from __future__ import annotations

import time

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from app.background import Abandoned
from app.store import DEFAULT_PAIR
from mambaout import explain
from tests.app.raw_visitor import RawVisitor
from tests.app.serving import Caller, launched, png

STEPS, STEP_SECONDS = 12_000, 0.02  # four minutes, if nobody ends it
PATIENCE_SECONDS = 120


class Patient:
    """A heat map that takes minutes the first time it is asked for, and none after that."""

    def __init__(self, part):
        self.part, self.steps, self.ends = part, 0, []

    def __call__(self, *args, progress, **options):
        if self.steps:
            return self.part(*args, progress=progress, **options)
        try:
            for step in range(STEPS):
                self.steps += 1
                progress(step, STEPS)
                time.sleep(STEP_SECONDS)
        except Abandoned:
            self.ends.append("abandoned")
            raise
        self.ends.append("finished")
        return self.part(*args, progress=progress, **options)


def until(condition):
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def patient(monkeypatch):
    part = Patient(explain.grad_cam)
    monkeypatch.setattr(explain, "grad_cam", part)
    return part


@pytest.fixture
def picture(request):
    """Another one for each test: what was asked before would be remembered."""
    seed = sum(map(ord, request.node.name))
    noise = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((180, 120))


@pytest.fixture(scope="module")
def address(store):
    with launched(store) as address:
        yield address


def others_go_on(address, patient, picture):
    """Somebody else is answered, and what the first one asked for has ended before its end."""
    with RawVisitor(address) as other:
        assert other.compare(png(picture))["success"]
    until(lambda: patient.ends)
    assert patient.ends == ["abandoned"]
    assert patient.steps < STEPS
    steps = patient.steps
    time.sleep(5 * STEP_SECONDS)
    assert patient.steps == steps


@pytest.mark.parametrize("way", ["cancel", "hang up"])
def test_the_work_of_who_leaves_ends(way, address, patient, picture):
    with RawVisitor(address) as visitor:
        function, event = visitor.press(picture=visitor.upload(png(picture)))
        with visitor.stream() as messages:
            next(m for m in messages if m["msg"] == "process_generating")
            until(lambda: patient.steps)
            if way == "cancel":
                assert visitor.cancel(function, event).json() == {"success": True}
    others_go_on(address, patient, picture)


def test_who_leaves_the_queue_is_never_begun(address, patient, picture):
    with RawVisitor(address) as first, RawVisitor(address) as second:
        first.press(picture=first.upload(png(picture)))
        with first.stream() as messages:
            next(m for m in messages if m["msg"] == "process_generating")
            until(lambda: patient.steps)
            second.press(picture=second.upload(png(picture.rotate(180))))
            with second.stream() as waiting:
                assert next(m for m in waiting)["msg"] == "estimation"
            with RawVisitor(address) as looker:
                status = f"{address}/gradio_api/queue/status"
                until(lambda: looker.http.get(status).json()["queue_size"] == 0)
    others_go_on(address, patient, picture)


def test_the_work_of_a_program_that_hangs_up_ends(address, patient, picture):
    choices = (*DEFAULT_PAIR, "bidirectional", "gradcam")
    with Caller(address) as caller:
        url = f"{address}/gradio_api/call/compare"
        body = {"data": [caller.upload(png(picture)), *choices]}
        event = caller.http.post(url, json=body).json()["event_id"]
        with caller.http.stream("GET", f"{url}/{event}"):
            until(lambda: patient.steps)
    others_go_on(address, patient, picture)
    with Caller(address) as caller:  # nothing of it was kept
        assert caller.call("compare", *body["data"])[0] == "complete"


@pytest.mark.browser
def test_the_work_of_a_page_that_is_closed_ends(address, patient, picture, chromium):
    page = chromium.new_page()
    page.goto(address)  # which asks about its own picture at once
    # It hears of it: before that, nothing tells the server that somebody listens, and then left.
    expect(page.locator("#status")).to_contain_text(f" of {STEPS}", timeout=1000 * PATIENCE_SECONDS)
    page.close()
    others_go_on(address, patient, picture)
