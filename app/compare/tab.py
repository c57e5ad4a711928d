"""The tab, put together."""

from __future__ import annotations

from app.compare import layout, wiring
from app.language import noted
from app.page import Page, Tab


def build(page: Page) -> None:
    """Its components, and what happens on them."""
    places = layout.results()
    wiring.asking(page, places)
    wiring.redrawing(places)


TAB = Tab("compare", noted("Compare"), build)
