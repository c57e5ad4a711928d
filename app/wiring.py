"""What happens when: events bound to handlers, and handlers' values put into components."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from app import markup, text
from app.examples import examples
from app.handlers import (
    PLACES,
    Control,
    Picture,
    Values,
    View,
    ask_both,
    explain_by,
    explain_row,
    heat_maps,
    scan_again,
)
from app.layout import Components
from app.models_markup import models_table
from app.safe_image import notes_of
from app.store import ModelStore
from mambaout.errors import MambaOutError

logger = logging.getLogger(__name__)

Updates = dict[Any, Any]  # by component

# No event of the page is part of an API.
_PRIVATE: dict[str, Any] = {"api_visibility": "private"}
# Explaining and tracing take all cores of a small machine: two at once finish later, not sooner.
_ONE_AT_A_TIME: dict[str, Any] = {
    **_PRIVATE,
    "concurrency_id": "model",
    "concurrency_limit": 1,
    "show_progress": "minimal",
    "trigger_mode": "always_last",
}
_VIEW = ("scale", "layer", "path", "quantity")


def comparing(demo: gr.Blocks, store: ModelStore, controls: Components, places: Components) -> None:
    """Everything that asks a model, and the button that stops it."""
    view = [places[name] for name in _VIEW]
    outputs = [places[name] for name in PLACES]
    options = _ONE_AT_A_TIME | {"show_progress_on": [places["status"]]}

    def ask(
        picture: Any, left: str, right: str, mixing: Any, method: str, *chosen: Any
    ) -> Iterator[Values]:
        notes = notes_of(picture) if picture is not None else ()
        yield from ask_both(store, picture, (left, right), mixing, method, _view(*chosen), notes)

    def explain(method: str, shown: Any, *chosen: Any) -> Iterator[Values]:
        yield from explain_by(store, shown, method, _view(*chosen))

    asked = [*(controls[name] for name in ("picture", "left", "right")), places["mixing"]]
    # Not the picture's input event: that of a removed picture still brings the picture along.
    triggers = [controls["run"].click, controls["picture"].upload, places["mixing"].input]
    if "examples" in controls:
        chosen = controls["examples"].select(
            _example, outputs=controls["picture"], queue=False, **_PRIVATE
        )
        # The first picture is there when the page opens: so are the answers to it.
        triggers += [chosen.then, demo.load]
    events = [
        listen(_streamed(places, ask), [*asked, places["method"], *view], outputs, **options)
        for listen in triggers
    ]
    events.append(
        places["method"].input(
            _streamed(places, explain),
            [places["method"], places["result"], *view],
            outputs,
            **options,
        )
    )
    events += [
        places[f"{side}_answer"].select(
            _row_explained(places, store, index), [places["result"], *view], outputs, **options
        )
        for index, side in enumerate(markup.SIDES)
    ]
    # Only when the work has ended, or its last words would be the line that stays.
    controls["stop"].click(None, cancels=events, queue=False, **_PRIVATE).then(
        lambda: text.STOPPED, outputs=places["status"], queue=False, **_PRIVATE
    )


def redrawing(places: Components) -> None:
    """What only changes how a result is drawn, and asks no model."""

    def both(shown: Any, *chosen: Any) -> Iterator[Values]:
        if shown is not None:
            yield heat_maps(shown, _view(*chosen)) | scan_again(shown, _view(*chosen))

    def scan(shown: Any, *chosen: Any) -> Iterator[Values]:
        if shown is not None:
            yield scan_again(shown, _view(*chosen))

    inputs = [places["result"], *(places[name] for name in _VIEW)]
    outputs = [places[name] for name in PLACES]
    for listen, handler in (
        (places["scale"].input, both),
        # Not release, which a keyboard does not cause.
        (places["layer"].input, scan),
        (places["path"].input, scan),
        (places["quantity"].input, scan),
    ):
        listen(
            _streamed(places, handler),
            inputs,
            outputs,
            show_progress="hidden",
            trigger_mode="always_last",
            **_PRIVATE,
        )


def choosing(demo: gr.Blocks, store: ModelStore, controls: Components, table: gr.HTML) -> None:
    """The lists of models, drawn anew when a page is opened: weights may have come meanwhile."""

    def fill() -> tuple[Any, Any, str]:
        cards = store.cards()
        choices = [(text.choice(card), card.name) for card in cards]
        lists = gr.Dropdown(choices=choices), gr.Dropdown(choices=choices)
        return *lists, models_table(cards)

    pickers = [controls["left"], controls["right"]]
    demo.load(fill, outputs=[*pickers, table], show_progress="hidden", **_PRIVATE)
    controls["swap"].click(
        lambda left, right: (right, left), pickers, pickers, queue=False, **_PRIVATE
    )


def _view(scale: str, layer: float, path: str, quantity: str) -> View:
    return View(scale == "shared", int(layer), path, quantity)


def _example(event: gr.EventData) -> Any:
    """The example picture that was selected."""
    pictures = examples()
    index = getattr(event, "index", None)
    if not isinstance(index, int) or not 0 <= index < len(pictures):
        raise gr.Error(text.CHOOSE, print_exception=False)
    return pictures[index].open()


def _row_explained(
    places: Components, store: ModelStore, index: int
) -> Callable[..., Iterator[Updates]]:
    """The handler of a selected row of one side's answer."""

    def explain(shown: Any, label: str, *chosen: Any) -> Iterator[Values]:
        yield from explain_row(store, shown, index, label, _view(*chosen))

    streamed = _streamed(places, explain)

    def selected(
        shown: Any, scale: str, layer: float, path: str, quantity: str, event: gr.SelectData
    ) -> Iterator[Updates]:
        yield from streamed(shown, str(event.value), scale, layer, path, quantity)

    return selected


def _streamed(
    places: Components, handler: Callable[..., Iterator[Values]]
) -> Callable[..., Iterator[Updates]]:
    """A handler's values on the components they are for; its errors as sentences."""

    def run(*inputs: Any) -> Iterator[Updates]:
        try:
            for values in handler(*inputs):
                yield {places[name]: _shown(name, value) for name, value in values.items()}
        except MambaOutError as error:
            raise gr.Error(text.sentence(str(error)), print_exception=False) from error
        except Exception as error:
            logger.exception("a request failed")
            memory = isinstance(error, MemoryError) or "out of memory" in str(error).lower()
            sentence = text.NO_MEMORY if memory else text.UNEXPECTED
            raise gr.Error(sentence, print_exception=False) from error

    return run


def _shown(name: str, value: Any) -> Any:
    """A handler's value as gradio takes it for the place of this name."""
    return _UPDATES.get(name.rpartition("_")[2], _html)(value)


def _html(value: str) -> gr.HTML:
    return gr.HTML(value=value, visible=bool(value))


def _image(value: Picture | None) -> gr.Image:
    if value is None:
        return gr.Image(value=None, visible=False)
    return gr.Image(value=value.image, alt_text=value.alt, visible=True)


def _slider(value: Control | None) -> gr.Slider:
    if value is None:
        return gr.Slider(visible=False)
    least, greatest = value.choices
    return gr.Slider(value=value.value, minimum=least, maximum=greatest, visible=True)


def _radio(value: Control | None) -> gr.Radio:
    if value is None:
        return gr.Radio(visible=False)
    return gr.Radio(value=value.value, choices=list(value.choices), visible=True)


# By the last part of a place's name.
_UPDATES: dict[str, Callable[[Any], Any]] = {
    "result": lambda comparison: comparison,
    "answer": lambda probabilities: gr.Label(value=probabilities),
    "heat": _image,
    "scan": _image,
    "layer": _slider,
    "path": _radio,
}
