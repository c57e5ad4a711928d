"""The page answers before torch is there, and says what it waits for to whoever asks meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app import arriving, background
from app.arriving import PACKAGES, load, once_here
from tests.free_port import free_port

ROOT = Path(__file__).parents[2]

# app.py itself, with a look at it when it has done all that it does before it waits.
FIRST_ANSWER = """
import runpy
import sys
import threading
import urllib.request

import gradio as gr

import app.warm_up

COSTLY = {"torch", "timm", "torchvision", "numba", "pytorch_grad_cam"}
order, warm, launch = [], threading.Event(), gr.Blocks.launch


def launched(self, **named):
    launch(self, **named, quiet=True)
    order.append("launched")


def warm_up(store, demo):
    order.append("warm-up")
    warm.set()


def look(self):
    opened = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for path in ("", "config", "gradio_api/info"):
        with opened.open(self.local_url + path) as answer:
            assert answer.status == 200
    assert warm.wait(60)
    assert order == ["launched", "warm-up"], order
    found = COSTLY & set(sys.modules)
    assert not found, found
    print("looked")


gr.Blocks.launch, gr.Blocks.block_thread, app.warm_up.warm_up = launched, look, warm_up
runpy.run_path("app.py", run_name="__main__")
"""


@pytest.fixture
def not_here(monkeypatch):
    """As before the packages were imported."""
    monkeypatch.setattr(arriving, "_here", threading.Event())
    monkeypatch.setattr(background, "POLL_SECONDS", 0.01)


def handler(*inputs):
    yield {"answer": inputs}


def test_the_page_answers_before_the_models_packages_are_imported(tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", FIRST_ANSWER, "--offline", "--port", str(free_port())],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=250,
        env=os.environ | {"GRADIO_TEMP_DIR": str(tmp_path)},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().endswith("looked")


def test_who_asks_before_is_told_what_is_being_imported(not_here, monkeypatch):
    go_on = {package: threading.Event() for package in PACKAGES}
    monkeypatch.setattr(arriving, "import_module", lambda package: go_on[package].wait(60))
    steps = once_here(handler, "status")("a picture")
    for package, title in PACKAGES.items():
        while title not in (line := next(steps)["status"]):
            pass
        assert line == f"This page has just started. Still to be loaded: {title} …"
        go_on[package].set()
    *_, last = steps
    assert last == {"answer": ("a picture",)}
    # Once is enough.
    monkeypatch.setattr(arriving, "import_module", None)
    assert list(once_here(handler, "status")()) == [{"answer": ()}]


def test_where_nobody_reads_on_nothing_is_told(not_here, monkeypatch):
    imported = []
    monkeypatch.setattr(arriving, "import_module", imported.append)
    assert list(once_here(handler)(1, 2)) == [{"answer": (1, 2)}]
    assert imported == [*PACKAGES]


def test_a_package_that_cannot_be_imported_is_tried_again(not_here, monkeypatch):
    def fails(package):
        raise ImportError(f"no {package} for this machine")

    with monkeypatch.context() as patch:
        patch.setattr(arriving, "import_module", fails)
        with pytest.raises(ImportError, match="no torch"):
            list(once_here(handler, "status")())
    load(lambda _done, _of: None)
    assert list(once_here(handler, "status")()) == [{"answer": ()}]
