"""The tab, put together."""

from __future__ import annotations

from app.mixing import layout, text, wiring
from app.page import Page, Tab


def build(page: Page) -> None:
    """Its components, and what happens on them."""
    wiring.asking(page, layout.results())


TAB = Tab("mixing", text.TAB, build)
