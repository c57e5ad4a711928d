"""What axe finds on every tab: the checker that stands behind browsers' own audits."""

from __future__ import annotations

import re
from importlib.resources import files

import axe_playwright_python
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

TABS = ("Compare", "Lens", "Mixing", "Folder", "When does it pay?", "Models")

# gradio's own faults, out of our reach: the rule, the elements, and why they stay.
ACCEPTED = [
    # "Add files" above a list of files is a button around the browser's own file chooser: the
    # keyboard reaches both, and both open it.
    {"rule": "nested-interactive", "at": "#folder-files button[aria-haspopup]"},
    {"rule": "nested-interactive", "at": "#folder-labels button[aria-haspopup]"},
]

RUN = """async (accepted) => {
  for (const list of document.querySelectorAll('details')) list.open = true;
  const found = await axe.run({resultTypes: ['violations'], elementRef: true});
  return found.violations.flatMap(({id, nodes}) => nodes
    .filter(({impact, element}) => ['serious', 'critical'].includes(impact)
      && !accepted.some(({rule, at}) => rule === id && element.matches(at)))
    .map(({target, failureSummary}) => `${id}, ${target.flat().join(' ')}: ${failureSummary}`));
}"""

# While an answer is on its way gradio fades what waits for it, and colours are between two.
AT_REST = """() => !document.querySelector('.pending, .generating')
  && document.getAnimations().every(({playState}) => playState === 'finished')"""


def test_axe_finds_nothing_serious_on_any_tab(visit, pictures):
    visited = visit(query="v=1&measure=scan")  # the lens is ready sooner
    page = visited.page
    _fill(visited, pictures)
    page.evaluate(files(axe_playwright_python).joinpath("axe.min.js").read_text("utf-8"))
    assert page.get_by_role("tab").all_inner_texts() == [*TABS]
    # Colours depend on the scheme and nothing else does, what scrolls on the width: two of four.
    for scheme, width in (("light", 1280), ("dark", 390)):
        # As gradio does when the page is opened; it does not follow a later change of scheme.
        page.evaluate("dark => document.body.classList.toggle('dark', dark)", scheme == "dark")
        page.set_viewport_size({"width": width, "height": 900})
        for tab in TABS:
            visited.open_tab(tab)
            page.wait_for_function(AT_REST)
            found = page.evaluate(RUN, ACCEPTED)
            assert found == [], f"{tab}, {scheme}, {width} px wide"


def _fill(visited, pictures):
    """Answers of every kind on every tab."""
    page = visited.page
    page.locator("#mixing").get_by_label("Causal", exact=True).click()
    expect(page.locator("#caution")).to_contain_text("not retrained")
    page.get_by_role("button", name="Test these maps").click()
    expect(page.locator("#trust table").first).to_be_visible()
    visited.open_tab("Lens")
    status = page.locator("#lens-status [role=status]")
    expect(status).to_have_text(re.compile("^The lens is ready"))
    visited.open_tab("Mixing")
    page.locator("#mixing-right-paths").get_by_label("forward").check()
    expect(page.locator("#mixing-right-paths_says")).to_contain_text("Only these run")
    visited.open_tab("Folder")
    both = [str(pictures / name) for name in ("sun.png", "text.png")]
    page.set_input_files("#folder-files input[type=file]", both)
    more = page.locator("#folder-files button[aria-haspopup]").first
    expect(more).to_have_attribute("aria-label", "Add files")
    page.get_by_role("button", name="Ask both models").click()
    status = page.locator("#folder-status [role=status]")
    expect(status).to_have_text(re.compile("^1 picture answered in "))
