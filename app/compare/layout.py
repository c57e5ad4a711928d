"""The components of the tab and where they stand; what they show and do is decided elsewhere."""

from __future__ import annotations

import gradio as gr

from app import markup, text
from app.compare import trust_text
from app.language import label
from app.late_choices import LateDropdown, LateRadio
from app.page import Components
from app.status import status_line
from mambaout.pictures.overlay import MAP_OPACITY

# A visitor's result stays on the server, so that it can be drawn again without the models.
RESULT_SECONDS = 3600

# Whole, not put together: languages put words together in their own ways.
_LABELS = {
    "model": {"left": label("Left model"), "right": label("Right model")},
    "answers": {
        "left": label("Five best answers, left model"),
        "right": label("Five best answers, right model"),
    },
    "change": {
        "left": label("Change by causal mixing, left model"),
        "right": label("Change by causal mixing, right model"),
    },
    "facts": {"left": label("Facts, left model"), "right": label("Facts, right model")},
    "heat": {"left": label("Heat map, left model"), "right": label("Heat map, right model")},
    "heat caption": {
        "left": label("Heat map, left model, in words"),
        "right": label("Heat map, right model, in words"),
    },
    "scan": {
        "left": label("Map of the scan, left model"),
        "right": label("Map of the scan, right model"),
    },
    "scan caption": {
        "left": label("Map of the scan, left model, in words"),
        "right": label("Map of the scan, right model, in words"),
    },
}


def results() -> Components:
    """What is answered: every place that a handler fills, by its name, and how it is shown."""
    places: Components = {
        "result": gr.State(time_to_live=RESULT_SECONDS),
    }
    with gr.Column(elem_classes="mo-tab"):
        places["status"] = status_line("status", label("Progress"), label(text.CHOOSE))
        places["verdict"] = gr.HTML(elem_id="verdict", label=label("Verdict"), visible=False)
        places["caution"] = gr.HTML(
            elem_id="caution", label=label("About causal mixing"), visible=False
        )
        with gr.Row(elem_classes="mo-pair", equal_height=True):
            for side in markup.SIDES:
                with gr.Column(elem_classes=["mo-card", f"mo-{side}"], min_width=260):
                    places |= _card(side)
        # What was chosen with no chooser of its own; a link holds it.
        places["class_key"] = _remembered(label("Explained class"))
        for side in markup.SIDES:
            places[f"{side}_depth_key"] = _remembered(label("Layer that the map is of"))
        places["heat_heading"] = gr.HTML(label=label("Where they look"))
        with gr.Row(elem_classes="mo-tools"):
            places["method"] = gr.Dropdown(
                [(title, name) for name, title in text.METHOD_TITLES.items()],
                value="gradcam",
                label=label("Method"),
                filterable=False,
                elem_id="method",
                min_width=160,
            )
            places["rival"] = LateDropdown(
                [],
                label=label("Rather than"),
                filterable=False,
                visible=False,
                elem_id="rival",
                min_width=160,
            )
            places["scale"] = gr.Radio(
                [(label("Shared by both"), "shared"), (label("Each its own"), "own")],
                value="shared",
                label=label("Colour scale"),
                elem_id="scale",
                min_width=240,
            )
            places["show"] = gr.Radio(
                [(label("Side by side"), "beside"), (label("Swipe"), "swipe")],
                value="beside",
                label=label("Show"),
                elem_id="show",
                min_width=200,
            )
            places["opacity"] = gr.Slider(
                10,
                100,
                value=round(100 * MAP_OPACITY),
                step=1,
                label=label("Opacity, %"),
                elem_id="opacity",
                min_width=180,
            )
        places["swipe"] = gr.ImageSlider(
            label=label("Both heat maps in one frame"),
            show_label=False,
            format="png",
            type="pil",
            interactive=False,
            visible=False,
            max_height=448,
            elem_id="swipe",
        )
        places["divider"] = gr.Slider(
            0,
            100,
            value=50,
            step=1,
            label=label("Where the two maps meet, % from the left"),
            visible=False,
            elem_id="divider",
        )
        places["swipe_caption"] = gr.HTML(
            elem_id="swipe-caption", label=label("Both heat maps, in words"), visible=False
        )
        _maps(places, "heat")
        places["heat_legend"] = gr.HTML(
            elem_id="heat-legend", label=label("Colour scale of both maps")
        )
        places["test"] = gr.Button(
            label(trust_text.BUTTON), size="sm", visible=False, elem_id="test"
        )
        places["trust"] = gr.HTML(
            elem_id="trust", label=label("What the maps are worth"), visible=False
        )
        places["scan_heading"] = gr.HTML(label=label("What the scan remembers"))
        with gr.Row(elem_classes="mo-tools"):
            places["quantity"] = gr.Dropdown(
                [(label(title), name) for name, title in text.QUANTITIES.items()],
                value="delta",
                label=label("Quantity"),
                filterable=False,
                elem_id="quantity",
                min_width=200,
            )
            places["layer"] = gr.Slider(
                1, 8, value=4, step=1, label=label("Layer"), elem_id="layer", min_width=200
            )
            places["path"] = LateRadio(
                [(label(text.PATHS[name]), name) for name in ("forward", "backward")],
                value="forward",
                label=label("Scan path"),
                elem_id="path",
                min_width=220,
            )
        _maps(places, "scan")
    return places


def _remembered(words: str) -> gr.Textbox:
    return gr.Textbox("", visible="hidden", label=words)


def _card(side: str) -> Components:
    """One model's answer."""
    return {
        f"{side}_head": gr.HTML(elem_id=f"{side}-head", label=_LABELS["model"][side]),
        f"{side}_answer": gr.Label(
            num_top_classes=5,
            show_heading=False,
            show_label=False,
            label=_LABELS["answers"][side],
            container=False,
            elem_id=f"{side}-answer",
            elem_classes="mo-answer",
        ),
        f"{side}_change": gr.HTML(
            elem_id=f"{side}-change", label=_LABELS["change"][side], visible=False
        ),
        f"{side}_facts": gr.HTML(elem_id=f"{side}-facts", label=_LABELS["facts"][side]),
    }


def _maps(places: Components, kind: str) -> None:
    """Two maps beside each other, each with its caption."""
    with gr.Row(elem_classes="mo-pair"):
        for side in markup.SIDES:
            with gr.Column(elem_classes=["mo-map", f"mo-{side}"], min_width=220):
                places[f"{side}_{kind}"] = gr.Image(
                    label=_LABELS[kind][side],
                    show_label=False,
                    format="png",
                    interactive=False,
                    visible=False,
                    buttons=["download", "fullscreen"],
                    elem_id=f"{side}-{kind}",
                )
                if kind == "heat":
                    places[f"{side}_depth"] = gr.Slider(
                        1,
                        4,
                        step=1,
                        label=label("Layer that the map is of"),
                        elem_id=f"{side}-depth",
                        visible=False,
                    )
                places[f"{side}_{kind}_caption"] = gr.HTML(
                    elem_id=f"{side}-{kind}-caption", label=_LABELS[f"{kind} caption"][side]
                )
