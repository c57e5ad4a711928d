"""The lens of the tab: its components, and when what is asked for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from app import markup
from app.gpu import lent
from app.language import label, tr
from app.late_choices import LateDropdown
from app.lens import text as lens_text
from app.lens.payload import whole
from app.lens.place import CENTRE, place_of
from app.lens.widget import token_lens
from app.mixing import text
from app.mixing.handlers import Chosen
from app.mixing.reads import Panes, Step, read_twice
from app.page import Components, Page, Updates
from app.status import status_line


@dataclass(frozen=True)
class Reads:
    """What one token of each model reads in both mixings, on the page."""

    page: Page
    parts: Components
    read: Callable[..., Iterator[Step]]  # `read_twice`, where there is a GPU for it

    @property
    def layers(self) -> list[Any]:
        """The choosers of layers, left and right."""
        return [self.parts[side] for side in markup.SIDES]

    @property
    def outputs(self) -> list[Any]:
        return [*self.parts.values()]

    def shown(
        self,
        picture: Any,
        names: Mapping[str, str],
        which: str,
        layers: Mapping[str, str | None],
        place: tuple[float, float] = CENTRE,
    ) -> Iterator[Updates]:
        """Measure what is read at one place of the picture, and show it."""
        if picture is None:
            return
        asked = Chosen(names, which, {}).asked()
        status, begun = self.parts["status"], time.perf_counter()
        yield {self.parts["heading"]: markup.section(tr(text.READS), tr(text.READS_HELP))}
        for found, line in self.read(picture, asked, layers, place):
            if line:
                yield {status: markup.escaped(line)}
            else:
                done = markup.escaped(text.read_in(time.perf_counter() - begun))
                yield {status: done} | self._choosers(found) | self._value(found)

    def _choosers(self, found: Mapping[str, Panes]) -> Updates:
        updates: Updates = {}
        for side in markup.SIDES:
            look = found[side].looks[0] if side in found else None
            if look is None or not look.layers:
                # Its value stays: the browser sends it on, and it must be one of the choices.
                updates[self.parts[side]] = gr.Dropdown(visible=False)
                continue
            titles = [
                (lens_text.layer_title(name, i, len(look.layers)), name)
                for i, name in enumerate(look.layers)
            ]
            updates[self.parts[side]] = gr.Dropdown(choices=titles, value=look.layer, visible=True)
        return updates

    def _value(self, found: Mapping[str, Panes]) -> Updates:
        looks = [look for panes in found.values() for look in panes.looks]
        rows = [
            panes.rows[i] if i < len(panes.rows) else None
            for panes in found.values()
            for i in range(len(panes.looks))
        ]
        known = [(i, some) for i, some in enumerate(rows) if some is not None]
        key = str([(look.title, look.digest, look.layer, look.error) for look in looks])
        return {self.parts["lens"]: whole(key, looks, "", known, coming=False, modes=("reads",))}


def build(page: Page) -> Reads:
    """Its components, where they belong."""
    parts: Components = {}
    with gr.Column(elem_classes=["mo-card", "mo-reads"], elem_id="mixing-reads"):
        parts["heading"] = gr.HTML(label=label(text.READS))
        parts["status"] = status_line("mixing-reads-status", label("Progress of the lens"))
        with gr.Row(elem_classes="mo-tools"):
            for side, words in zip(markup.SIDES, lens_text.LAYERS, strict=True):
                parts[side] = LateDropdown(
                    [], label=words, filterable=False, min_width=180, visible=False,
                    elem_id=f"mixing-{side}-layer",
                )  # fmt: skip
        parts["lens"] = token_lens("mixing-lens", label(text.READS))
    store = page.store
    return Reads(page, parts, lent(store, partial(read_twice, store), said=lambda w: ({}, w)))


def asking(reads: Reads, which: Any) -> None:
    """What asks for another token or layer; the rest of the tab stays as it is."""
    page, parts = reads.page, reads.parts
    controls = [page.controls[name] for name in ("picture", "left", "right")]
    inputs = [*controls, which, *reads.layers]

    def ask(*asked: Any) -> Iterator[Updates]:
        yield from reads.shown(*_named(asked))

    # The event first: gradio looks for it no further than the first starred parameter.
    def ask_there(event: gr.EventData, *asked: Any) -> Iterator[Updates]:
        yield from reads.shown(*_named(asked), place_of(event))

    for chooser in reads.layers:
        page.asks_model(chooser.input, ask, inputs, reads.outputs, parts["status"])
    page.asks_model(parts["lens"].select, ask_there, inputs, reads.outputs, parts["status"])


def _named(asked: tuple[Any, ...]) -> tuple[Any, Mapping[str, str], str, Mapping[str, Any]]:
    picture, left, right, which, left_layer, right_layer = asked
    names = {"left": left, "right": right}
    return picture, names, which, {"left": left_layer, "right": right_layer}
