"""The lens in a browser on a layer of more tokens than are measured at once."""

from __future__ import annotations

import re
import threading

import numpy as np
import pytest
import timm
import torch
from playwright.sync_api import expect

from app.lens import request
from app.store import DEFAULT_PAIR
from mambaout import explain
from mambaout.explain import token_reads
from tests.app.serving import launched
from tests.app.test_lens_page import LENS
from tests.app.visitor import Visit

pytestmark = pytest.mark.browser

SIDE = 24  # patches of 4 pixels
READ = f"{LENS}?.state.panes.length === 2 && {LENS}.state.panes.every(p => p.values)"


def large(name, _progress=None):
    """Untrained models; of pictures of 96 x 96 where they scan."""
    torch.manual_seed(3)
    if not name.startswith("vim"):
        return timm.create_model(name.partition(".")[0], num_classes=24)
    model = timm.create_model("vim_atto", num_classes=24, img_size=4 * SIDE)
    model.pretrained_cfg = {**model.pretrained_cfg, "input_size": (3, 4 * SIDE, 4 * SIDE)}
    return model


@pytest.fixture
def measured(monkeypatch):
    """Every call that measures rows: the layer's name and the rows."""
    calls = []

    def noted(*args, **options):
        calls.append((args[2], *options["rows"]))
        return token_reads(*args, **options)

    monkeypatch.setattr(explain, "token_reads", noted)
    return calls


def test_rows_come_one_by_one_as_they_are_pointed_at_and_none_comes_twice(
    chromium, new_store, measured
):
    assert SIDE**2 > request.MOST_TOKENS
    with launched(new_store(large)) as address:
        visited = Visit(chromium, address)
        page = visited.page
        assert DEFAULT_PAIR[1].startswith("vim")
        visited.open_tab("Lens")
        page.wait_for_function(READ)
        known = f"{LENS}.state.panes.map(p => p.known)"
        expect(page.locator("#lens")).to_contain_text("This layer has 576 tokens")
        assert page.evaluate(known) == [64, 1]
        hit = page.locator("#lens .mo-lens-hit").nth(1)
        says = page.locator("#lens .mo-lens-words").nth(1)
        asked = []
        page.on("request", lambda request: asked.append(request.url))

        def point(row, column):
            box = hit.bounding_box()
            hit.click(
                position={
                    "x": (column + 0.5) * box["width"] / SIDE,
                    "y": (row + 0.5) * box["height"] / SIDE,
                }
            )
            page.wait_for_function(READ)
            return np.array(page.evaluate(f"[...{LENS}.state.panes[1].values]"))

        (layer,) = {name for name, *_ in measured if name.startswith("layers")}
        measured.clear()
        first = point(3, 4)
        assert measured == [(layer, 3 * SIDE + 4)]  # before the class token, and no other model's
        expect(says).to_contain_text("Row 4, column 5 of 24 × 24. Reads ")
        second = point(20, 2)
        assert measured[1:] == [(layer, 20 * SIDE + 2 + 1)]  # after the class token
        assert page.evaluate(known) == [64, 3]
        assert np.abs(second - first).max() > 0
        # What has been read is there at once: nothing is asked for, and nothing is measured.
        asked.clear()
        np.testing.assert_array_equal(point(3, 4), first)
        assert not any("queue" in url for url in asked)
        hit.focus()
        page.keyboard.press("ArrowRight")
        expect(says).to_contain_text("Row 4, column 6 of 24 × 24. Reads ")
        assert measured[2:] == [(layer, 3 * SIDE + 5)]
        # Shown anew, the page asks again; what was measured was kept.
        page.get_by_role("tab", name="Compare").click()
        page.get_by_role("tab", name="Lens").click()
        page.wait_for_function(f"{LENS}.state.answers >= 5")
        assert measured[3:] == []
        visited.close()


def test_a_row_on_its_way_says_so_and_one_that_was_stopped_is_asked_for_again(
    chromium, new_store, monkeypatch
):
    go_on = threading.Event()
    go_on.set()

    def held(*args, **options):
        assert go_on.wait(60)
        return token_reads(*args, **options)

    monkeypatch.setattr(explain, "token_reads", held)
    with launched(new_store(large)) as address:
        visited = Visit(chromium, address)
        page = visited.page
        visited.open_tab("Lens")
        page.wait_for_function(READ)
        says = page.locator("#lens .mo-lens-words").nth(1)
        page.locator("#lens .mo-lens-hit").nth(1).focus()
        go_on.clear()
        page.keyboard.press("ArrowLeft")
        expect(says).to_contain_text("Being measured")
        expect(page.locator("#lens .mo-lens-says")).to_contain_text("Being measured")
        # Until the request is at its end, gradio forgets what is asked meanwhile.
        with page.expect_response(re.compile("/reset$")):
            page.get_by_role("button", name="Stop").click()
            go_on.set()
        expect(page.locator("#lens-status")).to_contain_text("Stopped")
        page.locator("#lens .mo-lens-hit").nth(1).focus()
        page.keyboard.press("ArrowUp")
        expect(says).to_contain_text("Row 12, column 12 of 24 × 24. Reads ")
        page.keyboard.press("ArrowDown")
        expect(says).to_contain_text("Row 13, column 12 of 24 × 24. Reads ")
        # What is pointed at while a row is on its way comes after it.
        go_on.clear()
        for _ in range(3):
            page.keyboard.press("ArrowRight")
            page.wait_for_timeout(200)  # the first one is on its way
        expect(says).to_contain_text("Row 13, column 15 of 24 × 24. Being measured")
        go_on.set()
        expect(says).to_contain_text("Row 13, column 15 of 24 × 24. Reads ")
        visited.close()
