"""The tab, put together."""

from __future__ import annotations

from typing import Any

from app.compare import layout, wiring
from app.compare.reported import report_of
from app.language import noted
from app.page import Page, Tab
from app.report.download import report_button
from mambaout.evaluation.comparison_report import Report


def build(page: Page) -> None:
    """Its components, and what happens on them."""
    places = layout.results()
    wiring.asking(page, places)
    wiring.redrawing(places)
    wiring.linked(page, places)
    view = [places[name] for name in wiring.VIEW]
    report_button(TAB.id, _report, [places["result"], *view])


def _report(shown: Any, *chosen: Any) -> Report | None:
    return report_of(shown, wiring.view_of(*chosen))


TAB = Tab("compare", noted("Compare"), build)
