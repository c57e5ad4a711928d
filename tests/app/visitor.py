"""The page as visitors meet it: the real server, their browser, and what must not happen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.free_port import free_port

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

# Counts how often the status line has come to say that everything is done; what is kept from
# before may be shown again so soon that nothing is seen of it in between but the time it took.
COUNT_DONE = """() => {
  window.__done = 0;
  let last = '';
  const look = () => {
    const line = document.querySelector('#status [role=status]');
    const now = /^(Done|Terminé|完成)/.test(line?.innerText) ? line.innerText : '';
    if (now && now !== last) window.__done += 1;
    last = now;
  };
  const all = {subtree: true, childList: true, characterData: true};
  new MutationObserver(look).observe(document.body, all);
  look();
}"""


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


class Running(NamedTuple):
    """A server of its own process."""

    address: str
    log: Path  # every address it asked for
    process: int
    output: Path  # what it printed


# Everything that is kept is bounded; with less of it the bounds are met after fewer requests.
KEEP_LITTLE = """
from app import environment
environment.prepare()
from app import store, ui
store._RESULT_BYTES, ui._SESSIONS = 16 * 2**20, 8
import runpy
runpy.run_path("app.py", run_name="__main__")
"""


@contextmanager
def serving(folder, *, keeps_little=False):
    """A running `python app.py`."""
    program = ["-c", KEEP_LITTLE] if keeps_little else ["app.py"]
    log = folder / "asked.txt"
    (folder / "sitecustomize.py").write_text(WATCH.format(log=str(log)), encoding="utf-8")
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    environment.pop("GRADIO_TEMP_DIR", None)  # the page makes a private one
    with (folder / "output.txt").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, *program, "--port", str(port), "--offline", "--device", "cpu"],
            cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, process, folder / "output.txt")
            yield Running(address, log, process.pid, folder / "output.txt")
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

    def __init__(
        self,
        browser,
        address,
        width=1280,
        scheme="light",
        motion="reduce",
        locale="en-US",
        query="",
        wait=True,
    ):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            reduced_motion=motion,
            locale=locale,
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE_SECONDS)
        self.errors, self.elsewhere = [], []
        self.page.on("console", lambda m: m.type == "error" and self.errors.append(m.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._note)
        self.page.goto(f"{address}?{query}")
        self.page.evaluate(COUNT_DONE)
        self.done = 0
        if wait:
            self.wait_until_done()

    def _note(self, request):
        if not re.match(r"(data:|blob:|http://127\.0\.0\.1:)", request.url):
            self.elsewhere.append(request.url)

    def open_tab(self, name):
        """Bring a tab to the front."""
        tab = self.page.get_by_role("tab", name=name)
        tab.click()
        self.page.wait_for_function("t => t.ariaSelected === 'true'", arg=tab.element_handle())

    def widths_overrun(self, widths=(1280, 768, 390)):
        """What is wider than the window at one of these widths, in words; [] if nothing is."""
        found = []
        for width in widths:
            self.page.set_viewport_size({"width": width, "height": 900})
            if self.page.evaluate("document.documentElement.scrollWidth") > width:
                found.append(f"the page at {width}")
            found += [f"{name} at {width}" for name in self.page.evaluate(NARROWER, width)]
        return found

    def wait_until_done(self):
        """Until the status line says so once more than before."""
        from playwright.sync_api import TimeoutError as NotYet

        self.done += 1
        try:
            self.page.wait_for_function("n => window.__done >= n", arg=self.done)
        except NotYet:
            said = self.page.locator("#status, #status + .mo-waiting").all_inner_texts()
            done = self.page.evaluate("window.__done")
            pytest.fail(f"done {done} times, not {self.done}; it says {said}; {self.errors}")

    def upload(self, path):
        self.page.set_input_files("#picture input[type=file]", str(path))

    def rows(self, side):
        """Class and percentage of the five rows of an answer."""
        rows = self.page.locator(f"#{side}-answer button")
        return [row.replace("\n", " ") for row in rows.all_inner_texts()]

    def alt(self, place):
        from playwright.sync_api import expect

        image = self.page.locator(f"#{place} img")
        expect(image).to_be_visible()
        return image.get_attribute("alt")

    def source(self, place):
        return self.page.locator(f"#{place} img").get_attribute("src")

    def close(self):
        self.context.close()
        assert not self.errors
        assert not self.elsewhere
