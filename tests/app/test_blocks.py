"""What the page's Blocks spare the server: parts that a handler does not change are left alone."""

from __future__ import annotations

import asyncio
import copy

import gradio as gr
import numpy as np
import pytest
from gradio.state_holder import SessionState

from app.blocks import PageBlocks


def postprocessed(blocks, answer):
    """What the page is told of two texts, a picture and a state, and which were built anew."""
    built = []

    class Text(gr.Textbox):
        def __init__(self, *given, **options):
            super().__init__(*given, **options)
            built.append(self.elem_id)

    with blocks() as demo:
        places = {
            "first": Text(elem_id="first"),
            "second": Text(elem_id="second"),
            "picture": gr.Image(),
            "kept": gr.State("before"),
        }
        gr.Button().click(lambda: None, None, [*places.values()])
    [function] = demo.fns.values()
    built.clear()
    state = SessionState(demo)
    given = {places[name]: copy.copy(new) for name, new in answer.items()}
    told = asyncio.run(demo.postprocess_data(function, given, state))
    return dict(zip(places, told, strict=True)), {*built}, state[places["kept"]._id]


@pytest.mark.parametrize(
    "answer",
    [
        {"first": gr.update(value="new", label="Name")},
        {"first": "new", "second": gr.skip()},
        {"kept": "after"},
        {"kept": "after", "second": gr.update(visible=False)},
        {"first": gr.skip()},
    ],
)
def test_the_page_is_told_what_gradio_tells_it(answer):
    told, built, kept = postprocessed(PageBlocks, answer)
    expected, built_by_gradio, kept_by_gradio = postprocessed(gr.Blocks, answer)
    assert told == expected
    assert kept == kept_by_gradio
    changed = {name for name, new in answer.items() if isinstance(new, dict) and new != gr.skip()}
    assert built == changed
    assert built_by_gradio > built


def test_values_that_compare_number_by_number():
    told, *_ = postprocessed(PageBlocks, {"picture": np.zeros((2, 2, 3), np.uint8)})
    assert told["picture"]["path"]
    assert told["first"] == gr.skip()


def test_what_is_no_output_is_refused_as_in_gradio():
    with PageBlocks() as demo:
        inside, outside = gr.Textbox(), gr.Textbox()
        gr.Button().click(lambda: None, None, [inside, gr.Textbox()])
    [function] = demo.fns.values()
    with pytest.raises(ValueError, match="not specified as output"):
        asyncio.run(demo.postprocess_data(function, {outside: "new"}, None))
