"""Rows that are picked while an earlier pick is being answered, in a browser."""

from __future__ import annotations

import threading

import pytest
from playwright.sync_api import expect

from app.mixing import handlers
from app.mixing.request import explain_class
from tests.app.serving import launched
from tests.app.visitor import Visit

pytestmark = pytest.mark.browser


def test_the_class_that_was_picked_last_is_explained(chromium, new_store, monkeypatch):
    go_on, begun = threading.Event(), threading.Event()

    def held(*given):
        begun.set()
        assert go_on.wait(60)
        yield from explain_class(*given)

    monkeypatch.setattr(handlers, "explain_class", held)
    with launched(new_store()) as address:
        visited = Visit(chromium, address, query="v=1&tab=mixing", wait=False)
        page = visited.page
        rows = page.locator("#mixing-left-table tbody button")
        expect(page.locator("#mixing-status [role=status]")).to_contain_text("Done")
        first, last = rows.nth(1).inner_text(), rows.nth(3).inner_text()
        rows.nth(1).click()
        assert begun.wait(60)
        rows.nth(3).click()
        begun.clear()
        go_on.set()
        assert begun.wait(60)
        legend = page.locator("#mixing-left-legend")
        expect(legend).to_contain_text(f"explain {last}.")
        assert first != last
        visited.close()
