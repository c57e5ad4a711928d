"""The lens in a browser on a model that scans along four paths."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.app.test_lens_page import LENS, Lens

pytestmark = pytest.mark.browser

GRID = np.arange(64).reshape(8, 8)
ORDERS = {
    "row": GRID.ravel(),
    "column": GRID.T.ravel(),
    "row reversed": GRID.ravel()[::-1],
    "column reversed": GRID.T.ravel()[::-1],
}


def test_four_paths_each_in_its_order_and_one_in_causal_form(visit):
    link = "v=1&tab=lens&r=vmamba_atto.tiny_imagenet&measure=scan"
    visited = visit(motion="no-preference", query=link, wait=False)
    page = visited.page
    lens = Lens(visited)
    names = page.locator("#lens-path label")
    assert names.all_inner_texts() == ["All paths", *ORDERS]
    caption = page.locator("#lens .mo-lens-caption").nth(1)
    lens.press(1, 4, 5)
    (everywhere,) = lens.weights()[1:]
    assert np.count_nonzero(everywhere) == 64
    for path, order in ORDERS.items():
        lens.choose("path", path)
        expect(caption).to_contain_text(f"Scan path: {path}.")
        assert lens.ask("lens.state.panes[1].walked") == order.tolist()
        # One path reads what came before on its way, all of it, and nothing else.
        (found,) = lens.weights()[1:]
        step = order.tolist().index(4 * 8 + 5)
        assert (found[order[: step + 1]] > 0).all()
        assert (found[order[step + 1 :]] == 0).all()
    page.get_by_label("Speed").select_option("30")
    page.locator("#lens").get_by_label("Play the scan").click()
    page.wait_for_function(f"{LENS}.state.visited.length > 1 && !{LENS}.state.playing")
    assert lens.ask("lens.state.visited") == ORDERS["column reversed"].tolist()
    # Causal form: one path is left, so there is none to choose.
    page.locator("#mixing").get_by_label("Causal", exact=True).click()
    lens.settle()
    expect(page.locator("#lens-path")).to_be_hidden()
    expect(caption).to_contain_text("Scan path: row.")
    assert lens.ask("lens.state.panes[1].walked") == ORDERS["row"].tolist()
    lens.press(1, 4, 5)
    (found,) = lens.weights()[1:]
    assert (found[: 4 * 8 + 6] > 0).all()
    assert (found[4 * 8 + 6 :] == 0).all()
    assert visited.widths_overrun() == []
