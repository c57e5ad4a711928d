"""Files whose names are programs, formulas or tricks: shown as words, and nowhere else."""

from __future__ import annotations

import csv
import io
import json

import pytest
from playwright.sync_api import expect

from tests.app.serving import png

NAMES = (
    '"><img src=x onerror=window.ran=1>.png',
    "${window.ran=2}'`{{window.ran=3}}.png",
    "=cmd|'calc'!A1.png",
    "@SUM(1).png",
    "photo\u202egpj.png",
    "a" * 251 + ".png",
    "line\nbreak&lt;b&gt;.png",
)

pytestmark = pytest.mark.browser


def test_names_of_files_stay_words(visit, server, picture):
    visited = visit()
    page = visited.page
    visited.open_tab("Folder")
    files = [{"name": name, "mimeType": "image/png", "buffer": png(picture)} for name in NAMES[:-1]]
    files.append({"name": NAMES[-1], "mimeType": "image/png", "buffer": b"no picture"})
    page.set_input_files("#folder-files input[type=file]", files)
    expect(page.locator("#folder-files tr.file")).to_have_count(len(NAMES))
    page.locator("#folder-start").click()
    expect(page.locator("#folder-csv")).to_be_visible()

    shown = page.locator("#folder-rows tbody th").all_text_contents()
    assert shown[:-1] == [*NAMES[:-1]]
    assert "&lt;b&gt;.png" in shown[-1]
    assert page.locator("#folder-rows img, #folder-rows b, #folder-files td img").count() == 0
    # a name that is opened goes to Compare without running either
    page.locator("#folder-rows tbody button").first.click()
    visited.wait_until_done()
    assert page.evaluate("window.ran") is None

    visited.open_tab("Folder")
    contents = {}
    for kind in ("csv", "json"):
        with page.expect_download() as download:
            page.locator(f"#folder-{kind}").click()
        assert download.value.suggested_filename == f"mambaout-folder.{kind}"
        contents[kind] = download.value.path().read_text("utf-8")
    cells = {row["file"] for row in csv.DictReader(io.StringIO(contents["csv"]))}
    assert {"'=cmd|'calc'!A1.png", "'@SUM(1).png", NAMES[0], NAMES[4]} <= cells
    assert not [cell for cell in cells if cell[0] in "=+-@"]
    assert json.loads(contents["json"])["damaged"][0]["file"] == shown[-1]
    printed = server.output.read_text("utf-8")
    assert not [name for name in ("window.ran", "calc", "SUM(1)", "aaaa") if name in printed]
