"""The line of a tab that says how far its answer is, and that others are waited for."""

from __future__ import annotations

import gradio as gr

from app import text
from app.language import label


def status_line(elem_id: str, name: str, value: str | None = None) -> gr.HTML:
    """What `app.page.Page.asked` and `asks_model` take as `status`.

    While an event waits until the models are free, the page's style sheet shows the words for that
    in place of the last ones: no handler runs then that could say so.

    Args:
        elem_id: of the element.
        name: says what the line is about, as `app.language.label` gives it.
        value: what it says at first, likewise.
    """
    line = gr.HTML(
        value, html_template='<p role="status">${value}</p>', label=name, elem_id=elem_id,
        elem_classes="mo-status",
    )  # fmt: skip
    gr.HTML(
        label(text.WAITING), html_template='<div role="status"><p>${value}</p></div>', label=name,
        elem_classes="mo-waiting",
    )  # fmt: skip
    return line
