"""What every tab asks about: a picture, two models and a mixing, chosen beside the tabs."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, get_args

import gradio as gr

from app import markup, text
from app.events import PRIVATE
from app.examples import examples
from app.language import label, tr
from app.link import Option
from app.link_readers import one_of
from app.page import Components, Page
from app.safe_image import SafeImage
from app.store import ModelStore
from mambaout.catalogue.mixing import Mixing


def controls(store: ModelStore) -> Components:
    """The column beside the tabs."""
    parts: Components = {}
    pictures = examples()
    with gr.Column(scale=0, min_width=320, elem_classes="mo-controls"):
        with gr.Column(elem_classes="mo-picture"):
            parts["picture"] = SafeImage(
                value=str(pictures[0].path) if pictures else None,
                label=label("Picture"),
                sources=["upload", "clipboard", "webcam"],
                type="pil",
                format="png",
                height=200,
                buttons=["fullscreen"],
                elem_id="picture",
                alt_text=label("The picture that both models are asked about"),
            )
            if pictures:
                parts["examples"] = gr.HTML(
                    markup.thumbnails(pictures),
                    js_on_load=markup.THUMBNAILS_SCRIPT,
                    apply_default_css=False,
                    label=label("Pictures to try"),
                    elem_id="examples",
                )
        with gr.Column(elem_classes="mo-choices"):
            with gr.Group():
                parts["left"] = _picker(store, 0)
                parts["right"] = _picker(store, 1)
            parts["swap"] = gr.Button(label("⇄ Swap models"), size="sm", elem_id="swap")
            parts["mixing"] = gr.Radio(
                [(label("Bidirectional"), "bidirectional"), (label("Causal"), "causal")],
                value="bidirectional",
                label=label("Token mixing"),
                info=label(text.MIXING_HELP),
                elem_id="mixing",
            )
            with gr.Row():
                parts["run"] = gr.Button(
                    label("Compare"), variant="primary", elem_id="run", scale=3
                )
                parts["stop"] = gr.Button(label("Stop"), elem_id="stop", scale=1, min_width=80)
            parts["copy"] = gr.Button(label("Copy link"), size="sm", elem_id="copy-link")
            parts["link_status"] = gr.HTML(
                html_template='<div role="status">${value}</div>', visible=False,
                label=label("Copy link"), elem_id="link-status",
            )  # fmt: skip
    return parts


def _picker(store: ModelStore, index: int) -> gr.Dropdown:
    return gr.Dropdown(
        choices=[(text.choice(card), card.name) for card in store.cards()],
        value=store.default_pair[index],
        label=(label("Left model"), label("Right model"))[index],
        filterable=False,
        elem_id=f"{markup.SIDES[index]}-model",
    )


def triggers(parts: Components) -> list[Callable[..., Any]]:
    """Gradio's listeners to whatever asks for an answer: a button, a new picture, a mixing."""
    # Not the picture's input event: that of a removed picture still brings the picture along.
    result = [parts["run"].click, parts["picture"].upload, parts["mixing"].input]
    if "examples" in parts:
        chosen = parts["examples"].select(
            _example, outputs=parts["picture"], queue=False, **PRIVATE
        )
        result.append(chosen.then)
    return result


def linked(page: Page) -> None:
    """What a link says about the controls."""
    names = [card.name for card in page.store.cards()]
    page.options |= {
        "l": Option(page.controls["left"], one_of(names)),
        "r": Option(page.controls["right"], one_of(names)),
        "mix": Option(page.controls["mixing"], one_of(get_args(Mixing))),
    }


def bind(page: Page) -> None:
    """What the controls do by themselves, once all tabs are built."""
    page.bind_asked()
    parts, store = page.controls, page.store
    pickers = [parts["left"], parts["right"]]

    def fill() -> list[gr.Dropdown]:
        choices = [(text.choice(card), card.name) for card in store.cards()]
        return [gr.Dropdown(choices=choices) for _ in pickers]

    if "examples" in parts:
        page.demo.load(
            lambda: markup.thumbnails(examples()),
            outputs=parts["examples"],
            show_progress="hidden",
            **PRIVATE,
        )
    # Anew when a page is opened: weights may have come meanwhile.
    page.demo.load(fill, outputs=pickers, show_progress="hidden", **PRIVATE)
    parts["swap"].click(lambda left, right: (right, left), pickers, pickers, queue=False, **PRIVATE)
    # Only when the work has ended, or its last words would be the line that stays. Those may still
    # be on their way to the browser, so it is said once more.
    stopped = parts["stop"].click(None, cancels=page.heavy, queue=False, **PRIVATE)
    for seconds in (0.0, 0.5):
        stopped = stopped.then(
            functools.partial(_stopped, page, seconds), outputs=page.status, queue=False, **PRIVATE
        )


def _stopped(page: Page, seconds: float) -> dict[Any, str]:
    time.sleep(seconds)
    return dict.fromkeys(page.status, tr(text.STOPPED))


def _example(event: gr.EventData) -> Any:
    """The example picture that was selected."""
    pictures = examples()
    index = getattr(event, "index", None)
    if not isinstance(index, int) or not 0 <= index < len(pictures):
        raise gr.Error(tr(text.CHOOSE), print_exception=False)
    return pictures[index].open()
