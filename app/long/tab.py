"""The tab, put together: arithmetic, measurement, and the paper's tables."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from app import markup
from app.events import PRIVATE, spoken
from app.language import label, tr
from app.long import text
from app.long.markup import growth_charts, operations_chart, published, stage_table, verdict
from app.long.request import LEAST_SIDE, MOST_SIDE, TASKS, judge, measured, operations
from app.page import Page, Tab, Updates
from app.status import status_line
from mambaout.errors import MambaOutError
from mambaout.evaluation.growth import MODELS, SIDES
from mambaout.evaluation.published_tables import published_tables

_SORT = Path(__file__).with_name("sort.js").read_text(encoding="utf-8")
_FIRST_MODEL = "deit_small_patch16_224.fb_in1k"  # the paper's own example: D = 384


def build(page: Page) -> None:
    """Three parts, one below the other."""
    with gr.Column(elem_classes="mo-tab mo-long"):
        _arithmetic(page)
        _measurement(page)
        _tables(page)


def _arithmetic(page: Page) -> None:
    """The paper's criterion for any picture size and model."""
    titles = {card.name: card.title for card in page.store.cards()}
    first = _FIRST_MODEL if _FIRST_MODEL in titles else next(iter(titles))
    heading = gr.HTML(label=label("When is a sequence long?"), elem_id="long-heading")
    with gr.Row(elem_classes="mo-tools"):
        tasks = gr.Radio(
            [(text.TASK_NAMES[name], name) for name in TASKS],
            value="imagenet", label=text.TASKS, elem_id="long-task", min_width=280,
        )  # fmt: skip
        height = _pixels(text.HEIGHT, "long-height")
        width = _pixels(text.WIDTH, "long-width")
        model = gr.Dropdown(
            [(title, name) for name, title in titles.items()],
            value=first, label=text.MODEL, filterable=False, elem_id="long-of", min_width=220,
        )  # fmt: skip
    judgement = gr.HTML(label=label("Long or short"), elem_id="long-verdict")
    with gr.Row(elem_classes="mo-pair"):
        with gr.Column(min_width=440):
            table = gr.HTML(label=label("Tokens, stage by stage"), elem_id="long-stages")
        with gr.Column(min_width=440):
            drawing = gr.HTML(label=label("Operations against tokens"), elem_id="long-operations")
    places = [heading, judgement, table, drawing]

    def answer(name: str, high: float | None, wide: float | None) -> Iterator[Updates]:
        sides = [int(side) if side else 0 for side in (high, wide)]
        if not all(LEAST_SIDE <= side <= MOST_SIDE for side in sides):
            raise MambaOutError(tr(text.WRONG_SIZE, least=LEAST_SIDE, most=MOST_SIDE))
        found = judge(page.store.card(name).name, *sides)
        yield {
            heading: markup.section(tr(text.HEADING), tr(text.HELP)),
            judgement: verdict(titles[name], found),
            table: stage_table(found),
            drawing: operations_chart(found, operations(found.length, found.channels)),
        }

    cheap: dict[str, Any] = {
        "show_progress": "hidden", "trigger_mode": "always_last", **PRIVATE
    }  # fmt: skip
    asked = [model, height, width]
    page.demo.load(spoken(answer), asked, places, **cheap)
    for listen in (model.input, height.input, width.input):
        listen(spoken(answer), asked, places, **cheap)
    tasks.input(
        lambda name: TASKS.get(name, TASKS["imagenet"]), tasks, [height, width], **cheap
    ).then(spoken(answer), asked, places, **cheap)


def _pixels(name: str, elem_id: str) -> gr.Number:
    # Without gradio's own bounds, which speak of "value" and English only.
    return gr.Number(224, label=name, precision=0, elem_id=elem_id, min_width=120)


def _measurement(page: Page) -> None:
    """Time and memory, measured when somebody asks."""
    heading = gr.HTML(label=label("And measured?"))
    with gr.Row(elem_classes="mo-tools"):
        start = gr.Button(
            text.MEASURE, variant="primary", elem_id="measure", scale=0, min_width=240
        )
        stop = gr.Button(text.STOP, elem_id="measure-stop", scale=0, min_width=160)
    status = status_line("long-status", label("Progress of the measurement"))
    drawing = gr.HTML(label=label("Time and memory against tokens"), elem_id="long-growth")

    def run() -> Iterator[Updates]:
        begun = time.perf_counter()
        yield {status: tr(text.STARTING), drawing: growth_charts([])}
        for points, new in measured(page.store.device):
            if new:
                last, total = points[-1], len(MODELS) * len(SIDES)
                name = text.SHORT_NAMES[last.model]
                line = text.measuring(name, last.side, len(points), total)
                yield {status: markup.escaped(line), drawing: growth_charts(points)}
            else:
                yield {status: gr.skip()}  # so that "Stop" is heard in between
        yield {status: text.measured(time.perf_counter() - begun)}

    page.asks_model(start.click, run, [], [status, drawing], status)
    ended = stop.click(None, cancels=page.heavy[-1:], queue=False, **PRIVATE)
    ended.then(lambda: tr(text.STOPPED), outputs=status, queue=False, **PRIVATE)
    page.demo.load(
        lambda: (
            markup.section(tr(text.MEASURED_HEADING), text.measured_help()),
            growth_charts([]),
        ),
        outputs=[heading, drawing], show_progress="hidden", **PRIVATE,
    )  # fmt: skip


def _tables(page: Page) -> None:
    """Tables 1 to 3 of the paper."""
    tables = {table.number: table for table in published_tables()}
    heading = gr.HTML(label=label("What the paper compares"))
    which = gr.Radio(
        [(text.TABLE_TITLES[number], number) for number in tables],
        value=1, label=text.TABLE, elem_id="long-table-choice",
    )  # fmt: skip
    table = gr.HTML(
        label=label("A table of the paper"), js_on_load=_SORT,
        elem_id="long-table",
    )  # fmt: skip

    def shown(number: int) -> tuple[str, str]:
        return (
            markup.section(tr(text.TABLES_HEADING), tr(text.TABLES_HELP)),
            published(tables.get(number, tables[1])),
        )

    for listen in (page.demo.load, which.input):
        listen(shown, which, [heading, table], show_progress="hidden", **PRIVATE)


TAB = Tab("long", text.TAB, build, alone=True)
