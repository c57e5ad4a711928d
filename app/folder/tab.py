"""The tab, put together."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import gradio as gr

from app import markup
from app.events import PRIVATE, spoken
from app.folder import text
from app.folder.files import SafeFiles, Upload, labelled, read_labels
from app.folder.markup import rows, summary
from app.folder.request import Answered, ask_folder
from app.language import label, tr
from app.page import Components, Page, Tab, Updates
from app.report.download import written
from app.status import status_line
from mambaout.errors import MambaOutError
from mambaout.evaluation.report import as_csv, as_dict
from mambaout.pictures import open_picture

_RESULT_SECONDS = 3600
_COMPARE = "compare"
_PRESS_COMPARE = "() => document.querySelector('#run').click()"


def build(page: Page) -> None:
    """Its components, and what happens on them."""
    places = _layout()
    _asking(page, places)
    _opening(page, places)

    def filtered(answered: Answered | None, only: bool) -> str:
        return rows(answered, only) if answered else ""

    places["only"].input(
        filtered, [places["result"], places["only"]], places["rows"],
        show_progress="hidden", trigger_mode="always_last", **PRIVATE,
    )  # fmt: skip
    page.demo.load(
        lambda: (markup.section(tr(text.HEADING), tr(text.HELP)), tr(text.CHOOSE)),
        outputs=[places["heading"], places["status"]], show_progress="hidden", **PRIVATE,
    )  # fmt: skip


def _layout() -> Components:
    places: Components = {"result": gr.State(time_to_live=_RESULT_SECONDS)}
    with gr.Column(elem_classes="mo-tab mo-many"):
        places["heading"] = gr.HTML(label=label("About this tab"), elem_id="folder-heading")
        with gr.Row(elem_classes="mo-pair"):
            places["files"] = SafeFiles(
                file_count="multiple", file_types=["image"], label=text.PICTURES, height=180,
                elem_id="folder-files", min_width=280,
            )  # fmt: skip
            places["labels"] = SafeFiles(
                file_types=[".csv", ".tsv", ".txt"], label=text.LABELS, height=180,
                elem_id="folder-labels", min_width=200,
            )  # fmt: skip
        with gr.Row(elem_classes="mo-tools"):
            places["start"] = gr.Button(
                text.START, variant="primary", elem_id="folder-start", scale=0, min_width=220
            )
            places["only"] = gr.Checkbox(
                label=text.ONLY, elem_id="folder-only", scale=0, min_width=220
            )
        places["status"] = status_line("folder-status", label("Progress of the folder"))
        places["summary"] = gr.HTML(label=label("Agreement and accuracy"), elem_id="folder-summary")
        places["rows"] = gr.HTML(
            label=label("Pictures and answers"), js_on_load=markup.THUMBNAILS_SCRIPT,
            elem_id="folder-rows",
        )  # fmt: skip
        with gr.Row(elem_classes="mo-tools"):
            places["csv"] = gr.DownloadButton(text.CSV, elem_id="folder-csv", visible=False)
            places["json"] = gr.DownloadButton(text.JSON, elem_id="folder-json", visible=False)
    return places


def _asking(page: Page, places: Components) -> None:
    store, controls = page.store, page.controls
    names = ("result", "status", "summary", "rows", "csv", "json")
    outputs = [places[name] for name in names]

    def ask(
        files: list[Upload], table: list[Upload], only: bool, left: str, right: str, mixing: Any
    ) -> Iterator[Updates]:
        if not files:
            yield {places["status"]: tr(text.CHOOSE)}
            return
        begun = time.perf_counter()
        yield {places["status"]: tr(text.WORKING)} | _downloads(places, None)
        labels = labelled(files, read_labels(table[0]) if table else {})
        answered = None
        for answered, status in ask_folder(store, files, (left, right), mixing, labels):
            read = len(files) - len(answered.evaluation.counted.damaged) if answered else 0
            line = status or text.done(read, time.perf_counter() - begun)
            updates: Updates = {places["status"]: markup.escaped(line)}
            if answered is not None:
                updates |= {
                    places["result"]: answered,
                    places["summary"]: summary(answered),
                    places["rows"]: rows(answered, only),
                }
            if answered is not None and not status:
                updates |= _downloads(places, answered)
            yield updates

    inputs = [places["files"], places["labels"], places["only"]]
    inputs += [controls[name] for name in ("left", "right", "mixing")]
    page.asks_model(places["start"].click, ask, inputs, outputs, places["status"])


def _opening(page: Page, places: Components) -> None:
    """A row's picture becomes the picture of the page, with Compare in front."""

    def opened(files: list[Upload], event: gr.EventData) -> Iterator[Any]:
        index = getattr(event, "index", None)
        if not isinstance(index, int) or not 0 <= index < len(files):
            raise MambaOutError(tr(text.UNKNOWN_ROW))
        picture = open_picture(files[index].path)
        page.fronts.bring(_COMPARE)
        yield picture, gr.Tabs(selected=_COMPARE), _COMPARE

    shown = [page.controls["picture"], page.tabs, page.active]
    # A tab that is brought to the front from here counts as chosen by nobody: so ask for it.
    places["rows"].select(
        spoken(opened), places["files"], shown, show_progress="hidden", **PRIVATE
    ).success(None, js=_PRESS_COMPARE, **PRIVATE)


def _downloads(places: Components, answered: Answered | None) -> Updates:
    if answered is None:
        return {places[kind]: gr.DownloadButton(visible=False) for kind in ("csv", "json")}
    evaluation = answered.evaluation
    files = {
        "csv": as_csv(evaluation),
        "json": json.dumps(as_dict(evaluation), indent=2, ensure_ascii=False) + "\n",
    }
    return {
        places[kind]: gr.DownloadButton(
            value=str(written(content.encode(), f"mambaout-folder.{kind}")), visible=True
        )
        for kind, content in files.items()
    }


TAB = Tab("folder", text.TAB, build)
