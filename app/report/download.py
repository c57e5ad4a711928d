"""A button that makes a report of what is shown, and hands it over."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from app.events import PRIVATE, spoken
from app.language import label, noted, tr
from mambaout.evaluation.comparison_report import Report, write_report

FILE_NAME = "mambaout-report.zip"
NOTHING_YET = noted("There is nothing to report yet: choose a picture first.")

# The file exists once the button was pressed, and a browser fetches it from a link.
_FETCH = """(file) => {
  const link = document.createElement('a');
  link.href = file.url;
  link.download = file.orig_name;
  document.body.append(link);
  link.click();
  link.remove();
}"""


def report_button(name: str, report: Callable[..., Report | None], inputs: Sequence[Any]) -> None:
    """Put the button where it belongs, and have it make what `report` gives of the inputs.

    Args:
        name: of its tab.
        report: called with the values of the inputs; None while there is nothing to report.
        inputs: components.
    """
    button = gr.Button(label("Download report"), size="sm", elem_id=f"{name}-report")
    file = gr.DownloadButton(
        label("Download report"), elem_id=f"{name}-report-file", elem_classes="mo-unseen"
    )

    def make(*values: Any) -> Iterator[gr.DownloadButton]:
        found = report(*values)
        if found is None:
            raise gr.Error(tr(NOTHING_YET), print_exception=False)
        yield gr.DownloadButton(value=str(written(write_report(found), FILE_NAME)))

    button.click(spoken(make), [*inputs], file, show_progress="hidden", **PRIVATE).success(
        None, file, js=_FETCH, queue=False, **PRIVATE
    )


def written(content: bytes, name: str) -> Path:
    """A file beside the uploads, whose folder nobody else can open and which ends with the page."""
    folder = Path(get_upload_folder()) / hashlib.sha256(content).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(content)
    return path
