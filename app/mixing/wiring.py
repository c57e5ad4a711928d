"""What happens when: events bound to handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from app import markup, text
from app.gpu import lent
from app.language import tr
from app.lens.place import layer_name
from app.link import Option, only_choice
from app.link_readers import one_of, some_of
from app.mixing.handlers import PLACES, Chosen, ask_mixings, class_chosen, paths_chosen
from app.mixing.reads_wiring import Reads
from app.page import Components, Page, Updates
from app.places import Control, Show, Values, keep, placed, show_image
from app.safe_image import notes_of
from app.store import ModelStore

_TABLES = ("table", "pathtable", "trainedtable")


def asking(page: Page, places: Components, reads: Reads) -> None:
    """Everything that asks a model."""
    store, controls, status = page.store, page.controls, places["status"]
    outputs = [places[name] for name in PLACES]

    def ask(
        picture: Any, left: str, right: str, which: str, left_paths: Any, right_paths: Any
    ) -> Iterator[Values]:
        notes = notes_of(picture) if picture is not None else ()
        chosen = Chosen(
            {"left": left, "right": right}, which, {"left": left_paths, "right": right_paths}
        )
        yield from ask_mixings(store, picture, chosen, notes)

    answers = placed(places, lent(store, ask), _SHOWS)

    def handler(
        picture: Any, left: str, right: str, which: str, left_paths: Any, right_paths: Any,
        *layers: str | None,
    ) -> Iterator[Updates]:  # fmt: skip
        yield from answers(picture, left, right, which, left_paths, right_paths)
        names = {"left": left, "right": right}
        of_sides = dict(zip(markup.SIDES, layers, strict=True))
        yield from reads.shown(picture, names, which, of_sides)

    inputs = [
        *(controls[name] for name in ("picture", "left", "right")),
        places["which"],
        *(places[f"{side}_paths_choice"] for side in markup.SIDES),
        *reads.layers,
    ]
    filled = [*outputs, *reads.outputs]
    page.asked(handler, inputs, filled, status)
    page.asks_model(places["which"].input, handler, inputs, filled, status)
    for side in markup.SIDES:
        choice = places[f"{side}_paths_choice"]
        by_paths = placed(places, lent(store, _paths(store, side)), _SHOWS)
        page.asks_model(choice.input, by_paths, [places["result"], choice], outputs, status)
        for table in _TABLES:
            listen = places[f"{side}_{table}"].select
            page.asks_model(
                listen, _picked(places, store, side), [places["result"]], outputs, status
            )


def linked(page: Page, places: Components, reads: Reads) -> None:
    """What a link says about the tab."""
    for side, chooser in zip(markup.SIDES, reads.layers, strict=True):
        page.options[f"reads{side[0]}"] = Option(chooser, layer_name, only_choice)
    page.options["which"] = Option(places["which"], one_of(("both", *markup.SIDES)))
    for side in markup.SIDES:
        page.options[f"paths{side[0]}"] = Option(
            places[f"{side}_paths_choice"],
            some_of(text.PATHS),
            lambda paths: gr.CheckboxGroup(choices=paths, value=paths),
        )


def _paths(store: ModelStore, side: str) -> Callable[..., Iterator[Values]]:
    """The handler of one side's choice of paths."""

    def choose(shown: Any, paths: list[str]) -> Iterator[Values]:
        yield from paths_chosen(store, shown, side, paths)

    return choose


def _picked(places: Components, store: ModelStore, side: str) -> Callable[..., Iterator[Updates]]:
    """The handler of a class that was selected in one of a side's tables."""

    def explain(shown: Any, class_index: int) -> Iterator[Values]:
        yield from class_chosen(store, shown, side, class_index)

    in_place = placed(places, lent(store, explain), _SHOWS)

    def selected(shown: Any, event: gr.EventData) -> Iterator[Updates]:
        index = getattr(event, "index", None)
        yield from in_place(shown, index if isinstance(index, int) else -1)

    return selected


def _choice(value: Control | None) -> gr.CheckboxGroup:
    if value is None:
        return gr.CheckboxGroup(choices=[], value=[], visible=False)
    return gr.CheckboxGroup(
        choices=[(tr(text.PATHS.get(path, path)), path) for path in value.choices],
        value=value.value,
        visible=True,
    )


# By the last part of a place's name.
_SHOWS: dict[str, Show] = {
    "result": keep,
    "heat": show_image,
    "choice": _choice,
    "box": lambda visible: gr.Column(visible=visible),
}
