"""The lens in a browser: one place in two models, causal and not, played and by keyboard."""

from __future__ import annotations

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.app.visitor import NAMELESS

pytestmark = pytest.mark.browser

# The element that the script was given is the one that carries its state.
LENS = """(() => {
  for (let e = document.querySelector('#lens .mo-lens'); e; e = e.parentElement)
    if (e.__lens) return e.__lens;
})()"""


class Lens:
    """The lens of one visitor, whose tab is in front."""

    def __init__(self, visited):
        self.page, self.answers = visited.page, 0
        self.settle()

    def ask(self, script):
        """A value from the state of the widget, called `lens` in the script."""
        return self.page.evaluate(f"(lens => {script})({LENS})")

    def choose(self, place, words):
        self.page.locator(f"#lens-{place}").get_by_label(words, exact=True).click()
        self.settle()

    def settle(self):
        """Until one more answer is complete, with all weights."""
        self.answers += 1
        self.page.wait_for_function(f"n => {LENS}?.state.answers >= n", arg=self.answers)
        assert self.ask("lens.state.panes.every(p => p.known === p.rows * p.columns)")

    def press(self, side, row, column):
        """Point at a patch of one pane, counted from 0."""
        rows, columns = self.ask(f"(p => [p.rows, p.columns])(lens.state.panes[{side}])")
        hit = self.page.locator("#lens .mo-lens-hit").nth(side)
        box = hit.bounding_box()
        at = (column + 0.5) * box["width"] / columns, (row + 0.5) * box["height"] / rows
        hit.click(position={"x": at[0], "y": at[1]})

    def patches(self):
        return self.ask("lens.state.panes.map(p => p.patch)")

    def weights(self):
        """What is drawn in both panes."""
        return [np.array(v) for v in self.ask("lens.state.panes.map(p => [...p.values])")]


def test_one_place_in_both_and_causal_reads_nothing_later(visit):
    visited = visit()
    page = visited.page
    visited.open_tab("Lens")
    lens = Lens(visited)
    # The scan's own weights come quickly; the left model has no scan and stays as it was.
    lens.choose("measure", "Scan weights")
    hits = page.locator("#lens .mo-lens-hit")
    lens.press(1, 4, 11)  # of 16 x 16
    assert lens.patches() == [2 * 8 + 5, 4 * 16 + 11]
    expect(hits.nth(0)).to_have_attribute("aria-valuetext", re.compile("^Row 3, column 6 of 8 × 8"))
    told = hits.nth(1).get_attribute("aria-valuetext")
    assert re.match(r"Row 5, column 12 of 16 × 16\. Reads \d+ of 256 tokens", told)
    lens.press(0, 2, 5)
    assert lens.patches()[0] == 2 * 8 + 5

    # Bidirectional models do read later tokens: otherwise the rest would prove nothing.
    lens.press(1, 4, 11)
    for at, found in zip(lens.patches(), lens.weights(), strict=True):
        assert found[at + 1 :].max() > 0
    page.locator("#mixing").get_by_label("Causal", exact=True).click()
    lens.settle()
    for row, column in ((4, 11), (9, 0), (0, 0)):
        lens.press(1, row, column)
        for at, found in zip(lens.patches(), lens.weights(), strict=True):
            assert (found[at + 1 :] == 0).all()
            assert found[at] > 0
    expect(hits.nth(1)).to_have_attribute("aria-valuetext", re.compile("0 % of it later in scan"))

    # By keyboard alone, from here on.
    hits.nth(1).focus()
    for key, patch in (("ArrowRight", 1), ("ArrowDown", 17), ("ArrowLeft", 16), ("ArrowUp", 0)):
        page.keyboard.press(key)
        assert lens.patches()[1] == patch
    page.keyboard.press("End")
    assert lens.patches() == [63, 255]
    expect(page.locator("#lens .mo-lens-says")).to_contain_text("Row 16, column 16 of 16 × 16")
    page.keyboard.press("Home")
    page.get_by_label("The state along the scan").focus()
    page.keyboard.press("Space")
    expect(page.locator("#lens .mo-lens-words").nth(1)).to_contain_text("state norm")
    expect(page.locator("#lens .mo-lens-words").nth(0)).to_contain_text("No scan, no state")
    page.get_by_label("Play the scan").focus()
    page.keyboard.press("Enter")  # one step: this visitor asked for less motion
    assert lens.patches()[1] == 1
    page.get_by_label("Position along the scan").focus()
    page.keyboard.press("ArrowRight")
    assert lens.patches()[1] == 2

    paints = lens.ask("lens.state.paints")
    assert len(paints) > 10
    assert np.median(paints) < 5  # [ms]
    assert page.evaluate(NAMELESS) == []
    assert visited.widths_overrun() == []


def test_playing_visits_every_token_once_in_the_order_of_the_scan(visit):
    link = "v=1&tab=lens&measure=scan"
    visited = visit(motion="no-preference", scheme="dark", query=link, wait=False)
    page = visited.page
    lens = Lens(visited)
    lens.choose("path", "backward")
    page.get_by_label("The state along the scan").click()
    page.get_by_label("Speed").select_option("30")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_label("Play the scan").click()
    page.wait_for_function(f"{LENS}.state.visited.length > 40")
    # The state fills: what was visited is coloured, what is still to come is not.
    page.get_by_label("Pause").click()
    step, values = lens.ask("(p => [p.step[p.patch], [...p.values]])(lens.state.panes[1])")
    order = np.array(lens.ask("lens.state.panes[1].walked"))
    assert (order == np.arange(255, -1, -1)).all()
    found = np.array(values)[order]
    assert (found[:40] > 0).all()
    assert (found[step + 2 :] == 0).all()
    page.get_by_label("Play the scan").click()
    page.wait_for_function(f"!{LENS}.state.playing")
    assert lens.ask("lens.state.visited") == order.tolist()
    assert asked == []
