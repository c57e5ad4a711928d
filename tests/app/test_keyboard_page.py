"""The whole way by keyboard: a picture, causal mixing, the lens and its tokens, without a mouse."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.browser

LENS = "[...document.querySelectorAll('#lens *')].find(e => e.__lens).__lens"

# What the keyboard is on, and whether one sees it: an outline on it, or on the box around it.
FOCUSED = """() => {
  const on = document.activeElement;
  if (!on || on === document.body) return null;
  const outlined = e => {
    const style = getComputedStyle(e);
    return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1;
  };
  let seen = false;
  for (let up = on, far = 0; up && far < 4; up = up.parentElement, far += 1) seen ||= outlined(up);
  const words = on.getAttribute('aria-label') || on.labels?.[0]?.innerText || on.innerText;
  return {name: (words || on.value || '').trim(), place: on.closest('[id]')?.id || '', seen,
          html: on.outerHTML.slice(0, 200)};
}"""


class Keyboard:
    """One visitor's keys."""

    def __init__(self, page):
        self.page, self.unseen = page, []

    def tab_to(self, name, most=150):
        """Press Tab until what is called `name` has the focus."""
        for _ in range(most):
            self.page.keyboard.press("Tab")
            focused = self.page.evaluate(FOCUSED)
            if focused is None:
                continue
            if not focused["seen"]:
                self.unseen.append(focused)
            if focused["name"] == name:
                return
        pytest.fail(f"{name} is not reached within {most} tabs")

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)


def test_from_a_picture_to_a_token_without_a_mouse(visit):
    visited = visit()
    page, keys = visited.page, Keyboard(visited.page)
    answers = page.locator("#left-answer, #right-answer")
    first = answers.all_inner_texts()
    assert len(first) == 2
    keys.tab_to("Dahlia")
    keys.press("Enter")
    visited.wait_until_done()
    assert not {*first} & {*answers.all_inner_texts()}
    keys.tab_to("Causal")
    keys.press("Space")
    visited.wait_until_done()
    assert page.locator("#mixing").get_by_label("Causal").is_checked()
    keys.tab_to("Lens")
    keys.press("Enter")
    page.wait_for_function(f"{LENS}.state.answers >= 1")
    keys.tab_to("Token of Vim-Atto")
    before = page.evaluate(f"{LENS}.state.panes[1].patch")
    keys.press("Home", "ArrowRight", "ArrowDown")
    rows = page.evaluate(f"{LENS}.state.panes[1].columns")
    assert page.evaluate(f"{LENS}.state.panes[1].patch") == rows + 1 != before
    keys.tab_to("Play the scan")
    keys.press("Enter")  # one step: this visitor asked for less motion
    assert page.evaluate(f"{LENS}.state.panes[1].patch") != rows + 1
    assert keys.unseen == []
