"""The public endpoints of the page, bound to components that nobody sees.

Pictures come through `SafeImage`, the page's own gate, so that a program can send no more than a
visitor can. Everything else on the page is private.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from app.api import schema
from app.api.interface import MIXINGS, Interface
from app.api.typed_json import TypedJSON
from app.events import answering
from app.safe_image import SafeImage
from app.store import ModelStore
from mambaout.explain.cam_methods import METHODS
from mambaout.explain.measures import MEASURES

MOST_CLASSES = 1000


def public_interface(store: ModelStore) -> None:
    """Add the endpoints to the page that is being built."""
    interface = Interface(store)
    names = [card.name for card in store.cards()]
    one, other = store.default_pair

    def model(value: str, label: str) -> gr.Dropdown:
        return gr.Dropdown(names, value=value, label=label)

    with gr.Column(visible=False):
        picture = SafeImage(label="Picture", type="pil", sources=["upload"])
        mixing = gr.Radio([*MIXINGS], value=MIXINGS[0], label="Mixing")
        method = gr.Radio([*METHODS], value="gradcam", label="Method")
        measure = gr.Radio([*MEASURES], value=MEASURES[0], label="Measure")
        count = gr.Number(5, label="Count", precision=0, minimum=1, maximum=MOST_CLASSES)
        layer = gr.Textbox("", label="Layer", max_length=200)
        row, column = (gr.Number(None, label=name, precision=0) for name in ("Row", "Column"))
        left, right = model(one, "Left model"), model(other, "Right model")
        scanning = model(other, "Model")

        endpoints: list[tuple[Callable[..., Any], Sequence[Any], Any]] = [
            (interface.classify, [picture, left, mixing, count], schema.Classification),
            (interface.compare, [picture, left, right, mixing, method], schema.Report),
            (interface.mixing, [picture, scanning, method], schema.Report),
            (
                interface.token_reads,
                [picture, scanning, mixing, layer, measure, row, column],
                schema.Reads,
            ),
        ]
        for function, inputs, kind in endpoints:
            name = function.__name__
            gr.Button(name).click(
                answering(store, function),
                [*inputs],
                TypedJSON(kind, label=kind.__name__),
                api_name=name,
                concurrency_id="model",
                concurrency_limit=1,
            )
        gr.Button("models").click(
            interface.models, None, TypedJSON(schema.Models, label="Models"), api_name="models"
        )
