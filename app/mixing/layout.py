"""The components of the tab and where they stand; what they show and do is decided elsewhere."""

from __future__ import annotations

from typing import Any

import gradio as gr

from app import markup
from app import text as page_text
from app.change_markup import PICK_SCRIPT
from app.compare.layout import RESULT_SECONDS
from app.language import label
from app.mixing import text
from app.page import Components
from app.status import status_line


def results() -> Components:
    """Every place that a handler fills, by its name."""
    places: Components = {"result": gr.State(time_to_live=RESULT_SECONDS)}
    with gr.Column(elem_classes=["mo-tab", "mo-both-mixings"]):
        places["status"] = status_line("mixing-status", label("Progress"), label(page_text.CHOOSE))
        places["heading"] = gr.HTML(label=label(text.HEADING), elem_id="mixing-heading")
        places["which"] = gr.Radio(
            list(text.WHICH_CHOICES), value="both", label=text.WHICH, elem_id="mixing-which"
        )
        for side in markup.SIDES:
            classes = ["mo-card", "mo-subject", f"mo-{side}"]
            with gr.Column(visible=False, elem_classes=classes, elem_id=f"mixing-{side}") as box:
                parts = _subject(side)
            places |= {f"{side}_{name}": part for name, part in parts.items()} | {
                f"{side}_box": box
            }
    return places


def _subject(side: str) -> Components:
    """One model: its two mixings, some of its paths, and its twin."""
    parts: Components = {}

    def html(name: str, words: str, **options: Any) -> None:
        parts[name] = gr.HTML(label=words, elem_id=f"mixing-{side}-{name}", **options)

    html("head", text.MODELS[side])
    html("switched", label(text.SWITCHED))
    with gr.Row(elem_classes="mo-variants"):
        _variant(parts, side, "bidirectional")
        _variant(parts, side, "causal")
        _variant(parts, side, "change")
    html("legend", label("Colour scale"))
    html("table", label(text.SWITCHED), js_on_load=PICK_SCRIPT)
    html("paths_heading", label(text.PATHS))
    parts["paths_choice"] = gr.CheckboxGroup(
        [], label=text.PATHS_CHOICE, info=text.PATHS_HELP, visible=False,
        elem_id=f"mixing-{side}-paths",
    )  # fmt: skip
    with gr.Column(visible=False) as parts["paths_box"]:
        with gr.Row(elem_classes="mo-variants"):
            _variant(parts, side, "paths")
            _variant(parts, side, "pathchange")
        html("pathtable", label(text.PATHS), js_on_load=PICK_SCRIPT)
    with gr.Column(elem_classes="mo-other-weights"):
        html("trained_heading", label(text.TRAINED))
        with gr.Column(visible=False) as parts["trained_box"]:
            with gr.Row(elem_classes="mo-variants"):
                _variant(parts, side, "trained")
                with gr.Column(min_width=200):
                    html("trainedchange_says", label(text.TRAINED))
            html("trainedtable", label(text.TRAINED), js_on_load=PICK_SCRIPT)
        html("accuracies", label(text.TRAINED))
    return parts


def _variant(parts: Components, side: str, name: str) -> None:
    """One answer, or what sets two of them apart: words, a map, and what the map shows."""
    with gr.Column(min_width=200, elem_classes=["mo-map", f"mo-{side}"]):
        parts[f"{name}_says"] = gr.HTML(
            label=text.ANSWERS[side], elem_id=f"mixing-{side}-{name}_says"
        )
        parts[f"{name}_heat"] = gr.Image(
            label=text.HEAT_MAPS[side],
            show_label=False,
            format="png",
            interactive=False,
            visible=False,
            buttons=["download", "fullscreen"],
            elem_id=f"mixing-{side}-{name}_heat",
        )
        parts[f"{name}_caption"] = gr.HTML(
            label=text.HEAT_MAPS[side], elem_id=f"mixing-{side}-{name}_caption"
        )
