"""The tab's file inputs, and the table of labels that a visitor may add."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import gradio as gr
from gradio.data_classes import FileData, ListFiles

from app.folder import text
from app.uploads import uploaded, uploads_only
from mambaout.errors import MambaOutError

MOST_LABEL_BYTES = 2**20
_SEPARATORS = ",;\t"


class Upload(NamedTuple):
    """A file and what the visitor calls it; the name is for showing and comparing only."""

    path: Path
    name: str


@uploads_only
class SafeFiles(gr.File):
    """A file input that hands `Upload`s to handlers, and opens nothing that was not uploaded."""

    is_template = True  # the browser shows it as the File it is

    def preprocess(self, payload: ListFiles | FileData | None) -> list[Upload]:  # type: ignore[override]
        """The uploads, in the visitor's order.

        Raises:
            gr.Error: one of them is no upload.
        """
        if payload is None:
            return []
        files = list(payload) if isinstance(payload, ListFiles) else [payload]
        return [
            Upload(uploaded(file.path), Path(file.orig_name or file.path).name) for file in files
        ]


def read_labels(upload: Upload) -> dict[str, str]:
    """File name -> label, from a table of two columns with or without a heading.

    Separated by commas, semicolons or tabs. A row whose first cell is "file" and a row without a
    label are passed over.

    Raises:
        MambaOutError: it is no such table; the text names the line.
    """
    if upload.path.stat().st_size > MOST_LABEL_BYTES:
        raise MambaOutError(text.labels_too_large(MOST_LABEL_BYTES))
    try:
        content = upload.path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise MambaOutError(text.labels_no_text()) from error
    first = content.partition("\n")[0]
    separator = max(_SEPARATORS, key=first.count)
    labels: dict[str, str] = {}
    try:
        for number, row in enumerate(csv.reader(io.StringIO(content), delimiter=separator), 1):
            cells = [cell.strip() for cell in row]
            if not any(cells) or cells[0].casefold() in {"file", "filename", "name"}:
                continue
            if len(cells) < 2:
                raise MambaOutError(text.labels_line(number, row[0][:60]))
            if cells[1]:
                labels[Path(cells[0]).name] = cells[1]
    except csv.Error as error:
        raise MambaOutError(text.labels_no_text()) from error
    return labels


def labelled(uploads: Sequence[Upload], labels: Mapping[str, str]) -> list[str]:
    """The label of each upload; empty where the table has none."""
    return [labels.get(upload.name, "") for upload in uploads]
