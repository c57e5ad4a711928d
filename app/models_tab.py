"""The Models tab: every model on offer, with what it costs and may be used for."""

from __future__ import annotations

import gradio as gr

from app import markup, text
from app.events import PRIVATE
from app.language import label, noted, tr
from app.models_markup import models_table
from app.page import Page, Tab


def build(page: Page) -> None:
    """The table, drawn anew when a page is opened: weights may have come meanwhile."""
    heading = gr.HTML(label=label("Models"), elem_id="models-heading")
    table = gr.HTML(label=label("Models on offer"), elem_id="models-table")
    page.demo.load(
        lambda: (
            markup.section(tr(text.MODELS_HEADING), tr(text.MODELS_HELP)),
            models_table(page.store.cards()),
        ),
        outputs=[heading, table],
        show_progress="hidden",
        **PRIVATE,
    )


TAB = Tab("models", noted("Models"), build, alone=True)
