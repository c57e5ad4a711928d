"""The page in a browser: the real server, the bundled weights, and no network."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 240  # the first scan is compiled, and the machine may be busy

# Loaded by Python before the server's first line: writes down every address that is no loopback.
WATCH = """
import sys

def watch(event, args):
    if event == "socket.connect" and isinstance(args[1], tuple):
        host = args[1][0]
    elif event == "socket.getaddrinfo":
        host = args[0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in (None, "", "localhost", "127.0.0.1", "::1", "0.0.0.0"):
        with open({log!r}, "a") as file:
            file.write(f"{{event}} {{host}}\\n")

sys.addaudithook(watch)
"""

# Counts how often the status line has come to say that everything is done.
COUNT_DONE = """() => {
  window.__done = 0;
  let last = false;
  const look = () => {
    const line = document.querySelector('#status [role=status]');
    const now = line !== null && line.innerText.startsWith('Done');
    if (now && !last) window.__done += 1;
    last = now;
  };
  const all = {subtree: true, childList: true, characterData: true};
  new MutationObserver(look).observe(document.body, all);
  look();
}"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The address of `python app.py`, and the file with every address it asked for."""
    folder = tmp_path_factory.mktemp("server")
    log = folder / "asked.txt"
    (folder / "sitecustomize.py").write_text(WATCH.format(log=str(log)), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("GRADIO_TEMP_DIR", None)  # the page makes a private one
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port), "--offline", "--device", "cpu"],
            cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, process, folder / "output.txt")
            yield address, log
        finally:
            process.terminate()
            process.wait(timeout=30)
    # A traceback is a failure that the page would only call "something went wrong".
    printed = (folder / "output.txt").read_text()
    assert "Traceback" not in printed, printed


def _wait_for(address, process, output):
    for _ in range(PATIENCE_SECONDS * 4):
        if process.poll() is not None:
            pytest.fail(f"the server ended at once: {output.read_text()}")
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.25)
    pytest.fail(f"the server did not answer within {PATIENCE_SECONDS} s")


class Visit:
    """One visitor's page, and everything that must not happen on it."""

    def __init__(self, browser, address, width=1280, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE_SECONDS)
        self.errors, self.elsewhere = [], []
        self.page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(address)
        self.page.evaluate(COUNT_DONE)
        self.done = 0
        self.wait_until_done()

    def _note(self, request):
        if not re.match(r"(data:|blob:|http://127\.0\.0\.1:)", request.url):
            self.elsewhere.append(request.url)

    def wait_until_done(self):
        """Until the status line says so once more than before."""
        self.done += 1
        self.page.wait_for_function("n => window.__done >= n", arg=self.done)

    def upload(self, path):
        self.page.set_input_files("#picture input[type=file]", str(path))

    def rows(self, side):
        """Class and percentage of the five rows of an answer."""
        rows = self.page.locator(f"#{side}-answer button")
        return [row.replace("\n", " ") for row in rows.all_inner_texts()]

    def alt(self, place):
        image = self.page.locator(f"#{place} img")
        expect(image).to_be_visible()
        return image.get_attribute("alt")

    def source(self, place):
        return self.page.locator(f"#{place} img").get_attribute("src")

    def close(self):
        self.context.close()
        assert not self.errors
        assert not self.elsewhere


@pytest.fixture
def visit(chromium, server):
    visits = []

    def begin(**options):
        visits.append(Visit(chromium, server[0], **options))
        return visits[-1]

    yield begin
    for visited in visits:
        visited.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two pictures that no model can take for one another, and two files that are none."""
    folder = tmp_path_factory.mktemp("pictures")
    down, across = np.mgrid[:160, :220]
    sun = (down - 60) ** 2 + (across - 110) ** 2 < 2200
    orange = np.where(sun[..., None], (240, 130, 20), (40, 90, 160)).astype(np.uint8)
    Image.fromarray(orange).save(folder / "sun.png")
    stripes = np.where(((across // 10) % 2)[..., None], (20, 20, 20), (240, 240, 240))
    Image.fromarray(stripes.astype(np.uint8)).save(folder / "stripes.jpg", quality=95)
    (folder / "text.png").write_text("this is no picture")
    whole = (folder / "stripes.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 3])
    return folder


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


def test_maps_are_drawn_again_without_the_models(visit):
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


def test_maps_of_other_layers_and_in_one_frame(visit):
    visited = visit()
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


def test_an_example_is_chosen_with_the_keyboard(visit):
    visited = visit()
    before = visited.rows("right")
    visited.page.get_by_role("button", name="Dahlia").focus()
    visited.page.keyboard.press("Enter")
    visited.wait_until_done()
    assert visited.rows("right") != before


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


def test_stop_stops(visit, pictures):
    visited = visit()
    status = visited.page.locator("#status [role=status]")
    visited.page.get_by_role("button", name="Compare").click()
    expect(status).to_have_text(re.compile("…$"))
    visited.page.get_by_role("button", name="Stop").click()
    expect(status).to_have_text(re.compile("^Stopped"))
    visited.page.wait_for_timeout(1500)
    expect(status).to_have_text(re.compile("^Stopped"))
    visited.upload(pictures / "sun.png")
    visited.wait_until_done()


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


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(visit, scheme):
    visited = visit(scheme=scheme)
    page = visited.page
    page.get_by_label("Causal", exact=True).click()
    visited.wait_until_done()
    for width in (1280, 768, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for tab in ("Compare", "Models"):
            page.get_by_role("tab", name=tab).click()
            expect(page.get_by_role("tab", name=tab)).to_have_attribute("aria-selected", "true")
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate(NARROWER, width) == []
    dark = page.evaluate("document.body.classList.contains('dark')")
    assert dark == (scheme == "dark")


# What sticks out of the window, unless it lies in something that scrolls.
NARROWER = """width => [...document.querySelectorAll('main *')].filter(e => {
  const box = e.getBoundingClientRect();
  if (!box.width || (box.right <= width + 1 && box.left >= -1)) return false;
  for (let up = e.parentElement; up; up = up.parentElement) {
    const scrolls = ['auto', 'scroll'].includes(getComputedStyle(up).overflowX);
    if (scrolls && up.getBoundingClientRect().right <= width + 1) return false;
  }
  return true;
}).map(e => e.tagName + '.' + e.className)"""


# Nothing to call it by: no label, no text, no picture with words.
NAMELESS = """() => [...document.querySelectorAll('main :is(button, input, img)')].filter(e => {
  const words = [e.getAttribute('aria-label'), e.innerText, e.alt, e.title,
                 e.labels?.[0]?.innerText, e.querySelector('img')?.alt,
                 e.closest('button')?.innerText];
  return e.offsetParent && !words.some(Boolean);
}).map(e => e.outerHTML)"""


def test_every_control_has_a_name(visit):
    page = visit().page
    assert page.evaluate(NAMELESS) == []
    assert page.locator("h1").count() == 1
    assert page.get_by_role("status").count() >= 1


def test_the_server_asked_nobody(server, visit):
    visit()
    log = server[1]
    assert not log.exists(), log.read_text()
