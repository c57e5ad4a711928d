"""Work for a tab that was left ends, and whoever waits for the models is told so."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def test_a_wait_for_the_models_is_said_where_the_visitor_looks(visit):
    first = visit()
    first.open_tab("When does it pay?")
    first.page.get_by_role("button", name="Measure on this machine").click()
    measured = first.page.locator("#long-status [role=status]")
    expect(measured).to_have_text(re.compile("^(Starting|Measured)"))
    second = visit(wait=False)
    waiting = second.page.locator("#status + .mo-waiting p")
    expect(waiting).to_have_text("Waiting until the models are free …")
    expect(waiting).to_be_visible()
    expect(second.page.locator("#status p")).to_be_hidden()  # "Choose a picture to begin."
    # What was begun with a button is not lost by looking at something else: it still runs.
    first.open_tab("Compare")
    expect(first.page.locator("#status + .mo-waiting p")).to_be_visible()
    first.open_tab("When does it pay?")
    expect(measured).to_have_text(re.compile("^(Starting|Measured)"))
    first.page.get_by_role("button", name="Stop measuring").click()
    second.wait_until_done()
    expect(waiting).to_be_hidden()
    expect(second.page.locator("#status p")).to_be_visible()


def test_the_lens_that_was_left_ends_and_answers_when_it_comes_back(visit):
    visited = visit()
    page = visited.page
    page.get_by_role("button", name="Dahlia").click()
    visited.wait_until_done()
    visited.open_tab("Lens")
    lens = page.locator("#lens-status [role=status]")
    expect(lens).to_have_text(re.compile("^What the tokens of Vim-Atto read"))
    visited.open_tab("Mixing")
    mixing = page.locator("#mixing-status [role=status]")
    expect(mixing).to_have_text(re.compile("^Done"))
    # It had more to measure, and does not while nobody looks.
    expect(lens).to_have_text(re.compile("^What the tokens of Vim-Atto read"))
    page.wait_for_timeout(1500)
    expect(lens).to_have_text(re.compile("^What the tokens of Vim-Atto read"))
    visited.open_tab("Lens")
    expect(lens).to_have_text(re.compile("^The lens is ready"))
