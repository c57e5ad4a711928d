"""The tab, put together: choosers, the lens, and what is asked when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr

from app import markup
from app import text as page_text
from app.events import PRIVATE
from app.gpu import lent
from app.language import label, tr
from app.late_choices import LateDropdown, LateRadio
from app.lens import text
from app.lens.payload import MODES, whole
from app.lens.place import AT_CENTRE, layer_name, place_of, read_place
from app.lens.reader import Rows
from app.lens.request import Choice, Look, look
from app.lens.widget import token_lens
from app.link import Option, only_choice
from app.link_readers import one_of, yes_or_no
from app.page import Page, Tab, Updates
from app.status import status_line
from mambaout.catalogue.mixing import Mixing

# Answered in the browser: playing and pointing ask nobody.
_PICKED = """() => {
  const { place, mode } = document.querySelector('#lens .mo-lens').dataset;
  return [place, mode];
}"""


def build(page: Page) -> None:
    """Its components, and what asks the models."""
    with gr.Column(elem_classes="mo-tab"):
        status = status_line("lens-status", label("Progress of the lens"))
        heading = gr.HTML(label=label(text.HEADING))
        with gr.Row(elem_classes="mo-tools"):
            layers = [
                LateDropdown(
                    [], label=words, filterable=False,
                    elem_id=f"lens-{side}-layer", min_width=180,
                )
                for side, words in zip(markup.SIDES, text.LAYERS, strict=True)
            ]  # fmt: skip
            path = LateRadio(
                [(label(text.EVERY_PATH), text.ALL_PATHS)], value=text.ALL_PATHS,
                label=label("Scan path"), info=label(text.PATHS_HELP), elem_id="lens-path",
                min_width=240,
            )  # fmt: skip
        with gr.Row(elem_classes="mo-tools"):
            measure = gr.Radio(
                list(text.MEASURES), value="jacobian",
                label=label("Measured by"), info=label(text.MEASURE_HELP), elem_id="lens-measure",
                min_width=300,
            )  # fmt: skip
            signed = gr.Checkbox(
                value=False, label=label(text.SIGNED), elem_id="lens-signed", min_width=180
            )
        lens = token_lens("lens", label("The lens"))
        # What was picked in the lens; a link holds it, and the lens begins with it.
        at = gr.Textbox(AT_CENTRE, visible="hidden", label=label(text.PICKED), elem_id="lens-place")
        mode = gr.Textbox(
            "reads", visible="hidden", label=label(text.WIDGET["modes"]), elem_id="lens-mode"
        )
        answered = gr.State(False)
    choosers: list[Any] = [*layers, path]
    controls = [page.controls[name] for name in ("picture", "left", "right", "mixing")]
    inputs = [*controls, *layers, path, measure, signed, answered]
    outputs = [status, heading, lens, answered, *choosers]

    looked = lent(page.store, partial(look, page.store), said=lambda words: (0, None, words))

    def shown(asked: tuple[Any, ...], only: tuple[float, float] | None = None) -> Iterator[Updates]:
        picture, left, right, mixing, *chosen = asked
        yield {heading: markup.section(tr(text.HEADING), tr(text.HELP))}
        if picture is None:
            yield {status: markup.escaped(tr(page_text.CHOOSE))}
            return
        choice = Choice(
            layers=(chosen[0], chosen[1]),
            path=chosen[2] or text.ALL_PATHS,
            measure=chosen[3],
            signed=bool(chosen[4]),
        )
        begun = time.perf_counter()
        answer = _Answer(page, (left, right), mixing, choice)
        for index, new, line in looked(picture, (left, right), mixing, choice, only):
            yield {status: markup.escaped(line)} | answer.with_new(index, new, lens, choosers)
        done = [text.done(time.perf_counter() - begun)]
        if not chosen[-1]:  # until then only a link can have chosen layers
            done += answer.missed()
        yield {status: markup.escaped(" ".join(done)), answered: True} | answer.complete(lens)

    def ask(*asked: Any) -> Iterator[Updates]:
        yield from shown(asked)

    # The event first: gradio looks for it no further than the first starred parameter.
    def ask_there(event: gr.EventData, *asked: Any) -> Iterator[Updates]:
        yield from shown(asked, place_of(event))

    lens.input(None, None, [at, mode], js=_PICKED, queue=False, **PRIVATE)
    page.options |= {
        **{f"lens{s[0]}": Option(d, layer_name, only_choice)
           for s, d in zip(markup.SIDES, layers, strict=True)},
        "lenspath": Option(path, one_of((text.ALL_PATHS, *page_text.PATHS)), _only_path),
        "measure": Option(measure, one_of([name for _, name in text.MEASURES])),
        "signed": Option(signed, yes_or_no),
        "at": Option(at, read_place),
        "lens": Option(mode, one_of(MODES)),
    }  # fmt: skip
    page.asked(ask, inputs, outputs, status)
    for chooser in (*choosers, measure, signed):
        page.asks_model(chooser.input, ask, inputs, outputs, status)
    page.asks_model(lens.select, ask_there, inputs, outputs, status)


def _only_path(path: str) -> gr.Radio:
    """A path whose others come with the answer."""
    paths = dict.fromkeys((text.ALL_PATHS, path))
    names = {text.ALL_PATHS: label(text.EVERY_PATH)}
    return gr.Radio(choices=[(names.get(one, one), one) for one in paths], value=path)


class _Answer:
    """What has been found of one request by now, as updates."""

    def __init__(self, page: Page, names: tuple[str, str], mixing: Mixing, choice: Choice) -> None:
        self.choice = choice
        # Layers are told apart by what is looked at: no choice and the default are the same.
        self.asked = (names, mixing, replace(choice, layers=(None, None)))
        self.looks: list[Look | None] = [None, None]
        self.found: list[tuple[int, Rows]] = []
        self.titles = [page.store.card(name).title for name in names]

    def with_new(
        self, index: int, new: Look | Rows | None, lens: gr.HTML, choosers: list[Any]
    ) -> Updates:
        if isinstance(new, Look):
            self.looks[index] = new
            if all(self.looks):
                return self._choosers(choosers) | self._value(lens, [], coming=True)
        elif isinstance(new, Rows):
            self.found.append((index, new))
            return self._value(lens, [(index, new)], coming=True)
        return {}

    def missed(self) -> list[str]:
        """Layers that were asked for and that the models have not, one sentence each."""
        return [
            tr(text.NO_LAYER, model=one.title, layer=wanted)
            for one, wanted in zip(self.looks, self.choice.layers, strict=True)
            if one is not None and one.layers and wanted and wanted not in one.layers
        ]

    def complete(self, lens: gr.HTML) -> Updates:
        return self._value(lens, self.found, coming=False)

    def _value(self, lens: gr.HTML, found: list[tuple[int, Rows]], *, coming: bool) -> Updates:
        looks = [look for look in self.looks if look is not None]
        if len(looks) < len(self.looks):
            return {}
        key = f"{self.asked} {[(one.digest, one.layer) for one in looks]}"
        return {lens: whole(key, looks, self.choice.path, found, coming=coming)}

    def _choosers(self, choosers: list[Any]) -> Updates:
        updates: Updates = {}
        paths: dict[str, None] = {}
        for chooser, one in zip(choosers, self.looks, strict=False):
            if one is not None and one.layers:
                titles = [
                    (text.layer_title(name, i, len(one.layers)), name)
                    for i, name in enumerate(one.layers)
                ]
                updates[chooser] = gr.Dropdown(choices=titles, value=one.layer)
                paths |= {walk.path: None for walk in one.walks if walk.path}
        offered = [
            (label(text.EVERY_PATH), text.ALL_PATHS),
            *((page_text.path_name(path), path) for path in paths),
        ]
        chosen = self.choice.path if self.choice.path in paths else text.ALL_PATHS
        updates[choosers[-1]] = gr.Radio(choices=offered, value=chosen, visible=len(paths) > 1)
        return updates


TAB = Tab("lens", text.TITLE, build)
