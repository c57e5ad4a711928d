"""The page as it is built: no model, no network, nothing without a name."""

from __future__ import annotations

import inspect
import runpy
import subprocess
import sys
from pathlib import Path

import gradio as gr
import pytest
import torch
from gradio.components import Component

from app.store import ModelStore
from app.ui import TABS, build_demo, launch_kwargs

ROOT = Path(__file__).parents[2]
ABSENT = "mps" if torch.cuda.is_available() else "cuda"


def refuses(name, progress):
    raise AssertionError(f"building the page loaded {name}")


@pytest.fixture(scope="module")
def demo():
    return build_demo(ModelStore("cpu", build=refuses))


def parts(demo, kind):
    return [block for block in demo.blocks.values() if isinstance(block, kind)]


def test_it_is_built_without_a_model(demo):
    assert len(parts(demo, gr.Label)) == 2
    assert len(parts(demo, gr.Tab)) == len(TABS)


def test_every_component_has_a_name(demo):
    for component in parts(demo, Component):
        if isinstance(component, gr.State):
            continue
        words = component.value if isinstance(component, gr.Button) else component.label
        assert words, f"{type(component).__name__} {component.elem_id} has no label"


def test_both_pickers_start_with_the_miniatures(demo):
    values = [d.value for d in parts(demo, gr.Dropdown) if (d.elem_id or "").endswith("-model")]
    assert values == ["mambaout_atto.tiny_imagenet", "vim_atto.tiny_imagenet"]


def test_the_interface_for_programs_is_this_list(demo):
    public = {fn.api_name for fn in demo.fns.values() if fn.api_visibility != "private"}
    assert public == {"classify", "compare", "mixing", "token_reads", "models"}


def test_whatever_asks_a_model_waits_in_one_queue(demo):
    heavy = [fn for fn in demo.fns.values() if fn.concurrency_id == "model"]
    assert len(heavy) >= 6
    assert {fn.concurrency_limit for fn in heavy} == {1}
    stop = max(demo.fns.values(), key=lambda fn: len(fn.cancels))
    for_visitors = {fn._id for fn in heavy if fn.api_visibility == "private"}
    assert for_visitors <= {*stop.cancels}


def test_launch_takes_every_argument(demo):
    arguments = launch_kwargs("127.0.0.1")
    assert not arguments.keys() - inspect.signature(demo.launch).parameters.keys()
    assert all(Path(path).is_file() for path in arguments["css_paths"])
    assert arguments["run_history"] is False
    assert arguments["app_kwargs"]["middleware"]


def test_the_script_has_a_page_and_starts_nothing():
    """`gradio app.py` and hosts import it and look for `demo`."""
    module = runpy.run_path(str(ROOT / "app.py"), run_name="app_as_a_module")
    assert isinstance(module["demo"], gr.Blocks)
    assert not module["store"].holds("vim_atto.tiny_imagenet")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--help"], 0, "--offline"),
        (["--port", "no"], 2, "invalid int value"),
        (["--device", "tpu"], 2, "invalid choice"),
        (["--device", ABSENT], 1, f"This machine has no {ABSENT} device"),
    ],
)
def test_the_command_line_explains_itself(arguments, code, words):
    done = subprocess.run(
        [sys.executable, "app.py", *arguments],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code
    assert words in done.stdout + done.stderr


def test_the_first_tab_takes_nothing_back_from_a_link(demo):
    """It is selected when the page opens, and may be heard of when its link has been opened."""
    turns = [event for event in demo.fns.values() if event.name == "turn"]
    opening, later = (turns[0].fn("mixing", ready) for ready in (False, True))
    assert opening == (gr.skip(), False)  # with "mixing" it would overwrite what came since
    assert later == (TABS[0].id, True)
