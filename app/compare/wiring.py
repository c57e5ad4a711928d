"""What happens when: events bound to handlers, and handlers' values put into components."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gradio as gr

from app import markup, text
from app.compare.handlers import (
    PLACES,
    View,
    ask_both,
    check,
    explain_by,
    explain_depth,
    explain_rival,
    explain_row,
    heat_maps,
    scan_again,
)
from app.compare.wanted import NOTHING, Wanted, class_key, layer_number
from app.events import PRIVATE, spoken
from app.gpu import TEST_SECONDS, lent
from app.link import Option, only_choice
from app.link_readers import one_of, whole
from app.page import Components, Page, Updates
from app.places import Control, Picture, Show, Values, keep, placed, show_image
from app.safe_image import notes_of
from app.store import ModelStore

WANTED = ("class_key", "rival", "left_depth_key", "right_depth_key")
VIEW = ("scale", "layer", "path", "quantity", "opacity", "show")


def asking(page: Page, places: Components) -> None:
    """Everything that asks a model."""
    store, controls = page.store, page.controls
    view = [places[name] for name in VIEW]
    outputs = [places[name] for name in PLACES]

    def ask(
        picture: Any, left: str, right: str, mixing: Any, method: str, shown: Any, key: str,
        rival: str | None, left_layer: str, right_layer: str, *chosen: Any,
    ) -> Iterator[Values]:  # fmt: skip
        notes = notes_of(picture) if picture is not None else ()
        # Before the first answer only a link can have chosen them; a new answer is of its own.
        layers = layer_number(left_layer), layer_number(right_layer)
        wanted = Wanted(key, rival or "", layers) if shown is None else NOTHING
        yield from ask_both(
            store, picture, (left, right), mixing, method, view_of(*chosen), notes, wanted
        )

    def explain(method: str, shown: Any, *chosen: Any) -> Iterator[Values]:
        yield from explain_by(store, shown, method, view_of(*chosen))

    def against(rival: str, shown: Any, *chosen: Any) -> Iterator[Values]:
        yield from explain_rival(store, shown, rival, view_of(*chosen))

    def test(shown: Any, *chosen: Any) -> Iterator[Values]:
        yield from check(store, shown, view_of(*chosen))

    asked = [controls[name] for name in ("picture", "left", "right", "mixing")]
    asked += [places[name] for name in ("method", "result", *WANTED)]
    page.asked(placed(places, lent(store, ask), _SHOWS), [*asked, *view], outputs, places["status"])
    others = [
        (
            places["method"].input,
            placed(places, lent(store, explain), _SHOWS),
            [places["method"], places["result"], *view],
        ),
        (
            places["test"].click,
            placed(places, lent(store, test, TEST_SECONDS), _SHOWS),
            [places["result"], *view],
        ),
        (
            places["rival"].input,
            placed(places, lent(store, against), _SHOWS),
            [places["rival"], places["result"], *view],
        ),
        *(
            (
                places[f"{side}_answer"].select,
                _row_explained(places, store, index),
                [places["result"], *view],
            )
            for index, side in enumerate(markup.SIDES)
        ),
        *(
            (
                places[f"{side}_depth"].input,
                placed(places, lent(store, partial(_explain_depth, store, index)), _SHOWS),
                [places["result"], places[f"{side}_depth"], *view],
            )
            for index, side in enumerate(markup.SIDES)
        ),
    ]
    for listen, handler, inputs in others:
        page.asks_model(listen, handler, inputs, outputs, places["status"])


def linked(page: Page, places: Components) -> None:
    """What a link says about the tab."""
    page.options |= {
        "method": Option(places["method"], one_of(text.METHOD_TITLES)),
        "class": Option(places["class_key"], class_key),
        "rival": Option(places["rival"], class_key, only_choice),
        **{
            f"layer{side[0]}": Option(places[f"{side}_depth_key"], layer_number, str)
            for side in markup.SIDES
        },
        "scale": Option(places["scale"], one_of(("shared", "own"))),
        "show": Option(places["show"], one_of(("beside", "swipe"))),
        "opacity": Option(places["opacity"], whole(10, 100)),
        "quantity": Option(places["quantity"], one_of(text.QUANTITIES)),
        "layer": Option(
            places["layer"], whole(1, 200), lambda n: gr.Slider(value=n, maximum=max(n, 8))
        ),
        "path": Option(
            places["path"], one_of(text.PATHS), lambda path: gr.Radio(choices=[path], value=path)
        ),
    }


def redrawing(places: Components) -> None:
    """What only changes how a result is drawn, and asks no model."""

    def both(shown: Any, *chosen: Any) -> Iterator[Values]:
        view = view_of(*chosen)
        yield heat_maps(shown, view) | scan_again(shown, view) if shown is not None else {}

    def scan(shown: Any, *chosen: Any) -> Iterator[Values]:
        yield scan_again(shown, view_of(*chosen)) if shown is not None else {}

    inputs = [places["result"], *(places[name] for name in VIEW)]
    outputs = [places[name] for name in PLACES]
    for listen, handler in (
        (places["scale"].input, both),
        (places["show"].input, both),
        (places["opacity"].input, both),
        # Not release, which a keyboard does not cause.
        (places["layer"].input, scan),
        (places["path"].input, scan),
        (places["quantity"].input, scan),
    ):
        listen(
            spoken(placed(places, handler, _SHOWS)),
            inputs,
            outputs,
            show_progress="hidden",
            trigger_mode="always_last",
            **PRIVATE,
        )

    # The frame's own handle is out of a keyboard's reach.
    places["divider"].input(
        lambda position: gr.ImageSlider(slider_position=position),
        places["divider"],
        places["swipe"],
        show_progress="hidden",
        queue=False,
        trigger_mode="always_last",  # keys that are held come faster than answers
        **PRIVATE,
    )


def view_of(scale: str, layer: float, path: str, quantity: str, opacity: float, show: str) -> View:
    return View(scale == "shared", int(layer), path, quantity, opacity / 100, show == "swipe")


def _explain_depth(
    store: ModelStore, index: int, shown: Any, number: float, *chosen: Any
) -> Iterator[Values]:
    """The handler of one side's layer slider."""
    yield from explain_depth(store, shown, index, int(number), view_of(*chosen))


def _row_explained(
    places: Components, store: ModelStore, index: int
) -> Callable[..., Iterator[Updates]]:
    """The handler of a selected row of one side's answer."""

    def explain(shown: Any, label: str, *chosen: Any) -> Iterator[Values]:
        yield from explain_row(store, shown, index, label, view_of(*chosen))

    in_place = placed(places, lent(store, explain), _SHOWS)

    def selected(
        shown: Any,
        scale: str,
        layer: float,
        path: str,
        quantity: str,
        opacity: float,
        show: str,
        event: gr.SelectData,
    ) -> Iterator[Updates]:
        chosen = (scale, layer, path, quantity, opacity, show)
        yield from in_place(shown, str(event.value), *chosen)

    return selected


def _image_slider(value: tuple[Picture, Picture] | None) -> gr.ImageSlider:
    if value is None:
        return gr.ImageSlider(value=None, visible=False)
    left, right = value
    return gr.ImageSlider(value=(left.image, right.image), visible=True)


def _slider(value: Control | None) -> gr.Slider:
    if value is None:
        return gr.Slider(visible=False)
    least, greatest = value.choices
    return gr.Slider(value=value.value, minimum=least, maximum=greatest, visible=True)


def _dropdown(value: Control | None) -> gr.Dropdown:
    if value is None:
        return gr.Dropdown(visible=False)
    return gr.Dropdown(value=value.value, choices=list(value.choices), visible=True)


def _radio(value: Control | None) -> gr.Radio:
    if value is None:
        return gr.Radio(visible=False)
    named = [(text.path_name(path), path) for path in value.choices]
    return gr.Radio(value=value.value, choices=named, visible=True)


# By the last part of a place's name.
_SHOWS: dict[str, Show] = {
    "result": keep,
    "key": keep,
    "answer": lambda probabilities: gr.Label(value=probabilities),
    "heat": show_image,
    "scan": show_image,
    "swipe": _image_slider,
    "divider": lambda shown: gr.Slider(visible=shown),
    "depth": _slider,
    "rival": _dropdown,
    "test": lambda shown: gr.Button(visible=shown),
    "layer": _slider,
    "path": _radio,
}
