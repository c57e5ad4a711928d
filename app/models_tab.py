"""The Models tab: every model on offer, its cost, what it may be used for, and the study."""

from __future__ import annotations

import gradio as gr

from app import markup, text
from app.events import PRIVATE
from app.language import label, noted, tr
from app.models_markup import models_table
from app.page import Page, Tab
from app.study_markup import study_section
from mambaout.catalogue.bundled import bundled_cards
from mambaout.evaluation.study_table import rows_of


def build(page: Page) -> None:
    """Study and table, drawn anew when a page is opened: weights may have come meanwhile."""
    study = gr.HTML(label=label("Trained, switched, trained causally"), elem_id="models-study")
    heading = gr.HTML(label=label("Models"), elem_id="models-heading")
    table = gr.HTML(label=label("Models on offer"), elem_id="models-table")
    page.demo.load(
        lambda: (
            study_section(rows_of(bundled_cards())),
            markup.section(tr(text.MODELS_HEADING), tr(text.MODELS_HELP)),
            models_table(page.store.cards()),
        ),
        outputs=[study, heading, table],
        show_progress="hidden",
        **PRIVATE,
    )


TAB = Tab("models", noted("Models"), build, alone=True)
