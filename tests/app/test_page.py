"""The page in a browser: the real server, the bundled weights, and no network."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.app.visitor import NAMELESS

pytestmark = pytest.mark.browser


def test_a_picture_gets_two_answers_two_heat_maps_and_a_scan(visit, pictures):
    visited = visit()
    before = visited.rows("left")
    visited.upload(pictures / "sun.png")
    visited.wait_until_done()
    for side in ("left", "right"):
        rows = visited.rows(side)
        assert len(rows) == 5
        assert all(re.search(r"\d+%$", row) for row in rows)
        assert "Grad-CAM of " in visited.alt(f"{side}-heat")
        assert "strongest in the " in visited.alt(f"{side}-heat")
    assert visited.rows("left") != before
    assert visited.alt("right-scan").startswith("Step size Δ of Vim-Atto, layer ")
    expect(visited.page.locator("#left-scan-caption")).to_contain_text("MambaOut has no scan")
    expect(visited.page.locator("#verdict")).to_contain_text("KL divergence")
    expect(visited.page.locator("#heat-legend .mo-legend")).to_contain_text("logit")
    assert not visited.page.evaluate("document.body.classList.contains('dark')")


def test_the_switch_changes_the_numbers_at_once(visit):
    visited = visit()
    page = visited.page
    before = {side: visited.rows(side) for side in ("left", "right")}
    scan = visited.source("right-scan")
    expect(page.locator("#caution")).to_be_hidden()
    page.get_by_label("Causal", exact=True).click()
    visited.wait_until_done()
    for side in ("left", "right"):
        assert visited.rows(side) != before[side]
        change = page.locator(f"#{side}-change")
        expect(change).to_contain_text(re.compile("[+−][0-9.]+ points"))
        expect(change).to_contain_text(re.compile("Top class kept|Flipped"))
    expect(page.locator("#caution")).to_contain_text("25 of the 49 taps")
    expect(page.get_by_label("backward", exact=True)).to_have_count(0)
    assert visited.source("right-scan") != scan
    page.get_by_label("Bidirectional", exact=True).click()
    visited.wait_until_done()
    assert {side: visited.rows(side) for side in ("left", "right")} == before


def test_a_bad_file_gets_a_sentence_and_the_next_one_works(visit, pictures):
    visited = visit()
    answers = visited.rows("left")
    toast = visited.page.get_by_test_id("toast-body")
    for name, words in (("text.png", "not a picture"), ("cut.jpg", "damaged")):
        visited.upload(pictures / name)
        expect(toast.filter(has_text=words)).to_be_visible()
        assert visited.rows("left") == answers
        visited.page.get_by_test_id("toast-close").last.click()
        visited.page.get_by_label("Remove Image").click()
    visited.upload(pictures / "stripes.jpg")
    visited.wait_until_done()
    assert visited.rows("left") != answers


def test_stop_stops(visit, pictures, tmp_path):
    visited = visit()
    status = visited.page.locator("#status [role=status]")
    # A picture that nobody asked about: what is kept is answered before it could be stopped.
    noise = np.random.default_rng().integers(0, 256, (512, 512, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "noise.png")
    visited.upload(tmp_path / "noise.png")
    expect(status).to_have_text(re.compile("…$"))
    visited.page.get_by_role("button", name="Stop").click()
    expect(status).to_have_text(re.compile("^Stopped"))
    visited.page.wait_for_timeout(1500)
    expect(status).to_have_text(re.compile("^Stopped"))
    visited.upload(pictures / "sun.png")
    visited.wait_until_done()


def test_a_row_is_explained_in_both_models(visit):
    visited = visit()
    row = visited.page.locator("#left-answer button").nth(2)
    label = row.locator("dt").inner_text()
    before = visited.source("left-heat")
    row.focus()
    visited.page.keyboard.press("Enter")
    visited.wait_until_done()
    expect(visited.page.get_by_text(f"Explaining {label}.")).to_be_visible()
    assert visited.source("left-heat") != before or "zero everywhere" in visited.page.content()


def test_maps_are_drawn_again_without_the_models_and_of_other_layers(visit):
    visited = visit()
    page = visited.page
    left, right = visited.source("left-heat"), visited.source("right-scan")
    page.get_by_label("Each its own").click()
    expect(page.locator("#left-heat-caption .mo-legend")).to_be_visible()
    expect(page.locator("#heat-legend .mo-legend")).to_have_count(0)
    page.get_by_label("backward", exact=True).click()
    expect(page.locator("#right-scan-caption")).to_contain_text("backward path")
    page.get_by_label("Quantity").click()
    page.get_by_role("option", name="Memory half-life").click()
    expect(page.locator("#right-scan-caption")).to_contain_text("tokens")
    layer = page.locator("#layer input[type=range]")
    layer.focus()
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    expect(page.locator("#right-scan-caption")).to_contain_text("Layer 6")
    assert (visited.source("left-heat"), visited.source("right-scan")) != (left, right)
    _of_other_layers_and_in_one_frame(visited)


def _of_other_layers_and_in_one_frame(visited):
    page = visited.page
    before = visited.source("right-heat")
    layer = page.locator("#right-depth input[type=range]")
    layer.focus()
    page.keyboard.press("ArrowLeft")
    visited.wait_until_done()
    expect(page.locator("#right-heat-caption")).to_contain_text("layers.6")
    assert visited.source("right-heat") != before
    page.get_by_label("Swipe", exact=True).click()
    expect(page.locator("#swipe img").first).to_be_visible()
    expect(page.locator("#left-heat")).to_be_hidden()
    handle = page.locator("#swipe [data-testid=slider] *").first
    place = handle.bounding_box()["x"]
    divider = page.locator("#divider input[type=range]")
    divider.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "x => document.querySelector('#swipe [data-testid=slider] *')"
        ".getBoundingClientRect().x > x + 20",
        arg=place,
    )
    page.get_by_label("Side by side", exact=True).click()
    expect(page.locator("#left-heat img")).to_be_visible()
    expect(page.locator("#swipe")).to_be_hidden()


def test_a_model_that_is_not_here_says_so_and_leaves_the_page_whole(visit):
    visited = visit()
    page = visited.page
    page.get_by_label("Right model").click()
    option = page.get_by_role("option", name=re.compile("^Vim-Tiny ·"))
    expect(option).to_contain_text("weights not here")
    option.click()
    page.get_by_role("button", name="Compare").click()
    visited.wait_until_done()
    expect(page.locator("#right-head")).to_contain_text("offline mode is on")
    assert len(visited.rows("left")) == 5
    page.get_by_role("button", name="Swap models").click()
    expect(page.get_by_label("Left model")).to_have_value(re.compile("^Vim-Tiny ·"))


def test_two_visitors_get_their_own_answers(visit, pictures):
    first, second = visit(), visit()
    first.upload(pictures / "sun.png")
    second.upload(pictures / "stripes.jpg")
    for visited in (first, second):
        visited.wait_until_done()
    together = [first.rows("left"), second.rows("left")]
    # One after the other, and each on the other's page.
    for visited, name, answers in (
        (first, "stripes.jpg", together[1]),
        (second, "sun.png", together[0]),
    ):
        visited.page.get_by_label("Remove Image").click()
        visited.upload(pictures / name)
        visited.wait_until_done()
        assert visited.rows("left") == answers
    assert together[0] != together[1]


def test_nothing_is_wider_than_the_window_or_without_a_name(visit):
    visited = visit(scheme="dark")
    page = visited.page
    assert page.evaluate("document.body.classList.contains('dark')")
    assert page.evaluate(NAMELESS) == []
    assert page.locator("h1").count() == 1
    assert page.get_by_role("status").count() >= 1
    page.get_by_label("Causal", exact=True).click()
    visited.wait_until_done()
    for tab in ("Compare", "Models"):
        visited.open_tab(tab)
        assert visited.widths_overrun() == []
