"""A question that is asked while the stream of answers ends is answered all the same."""

from __future__ import annotations

import asyncio

import pytest
from playwright.sync_api import expect
from starlette.middleware import Middleware

from app import ui
from tests.app.serving import launched
from tests.app.visitor import Visit

LATE_SECONDS = 3

pytestmark = pytest.mark.browser


class LateEnd:
    """What a slow network does: the end of a stream arrives after what was asked meanwhile."""

    late = 0

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def later(message):
            if b'"close_stream"' in message.get("body", b""):
                LateEnd.late += 1
                await asyncio.sleep(LATE_SECONDS)
            await send(message)

        await self.app(scope, receive, later)


def test_what_is_asked_while_the_stream_ends_is_answered(store, chromium, monkeypatch):
    middleware = ui.middleware
    monkeypatch.setattr(ui, "middleware", lambda hosts: [Middleware(LateEnd), *middleware(hosts)])
    with launched(store) as address:
        visited = Visit(chromium, address)
        try:
            page = visited.page
            before = LateEnd.late
            for mixing in ("Causal", "Bidirectional", "Causal"):
                page.get_by_label(mixing, exact=True).check()
                expect(page.locator("#verdict")).to_contain_text(f"{mixing} mixing", timeout=60_000)
            assert LateEnd.late > before
            assert visited.errors == []
        finally:
            visited.context.close()
