"""The tab, put together."""

from __future__ import annotations

from app.mixing import layout, reads_wiring, text, wiring
from app.mixing.reported import report_of
from app.page import Page, Tab
from app.report.download import report_button


def build(page: Page) -> None:
    """Its components, and what happens on them."""
    places = layout.results()
    reads = reads_wiring.build(page)
    wiring.asking(page, places, reads)
    reads_wiring.asking(reads, places["which"])
    wiring.linked(page, places, reads)
    report_button(TAB.id, report_of, [places["result"]])


TAB = Tab("mixing", text.TAB, build)
