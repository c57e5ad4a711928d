"""Files and classes whose names are programs, formulas or tricks: shown as words, nothing else."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from mambaout.catalogue.vocabulary import Vocabulary
from tests.app.serving import launched, png
from tests.app.visitor import Visit

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


# What the vocabulary of a model may say.
CLASSES = (
    "<img src=x onerror=window.ran=1>",
    "</script><script>window.ran=2</script>",
    "${window.ran=3}{{window.ran=4}}",
    "\u202e" + " ".join(["\u05e9\u05dc\u05d5\u05dd"] * 30) + "end",
    "a\"onmouseover='window.ran=5'`{reason}`&lt;b&gt;",
    '__i18n__{"key": "window.ran=6"}',
)
LABELS = tuple(name + " " * bool(i) + str(i or "") for i in range(4) for name in CLASSES)


@pytest.fixture
def hostile(new_store, chromium):
    """A visitor of a page whose models name their classes so."""

    class HostileStore(new_store):
        def _load(self, name, progress):
            return replace(super()._load(name, progress), vocabulary=Vocabulary(LABELS, LABELS))

    with launched(HostileStore()) as address:
        visited = Visit(chromium, address, query="v=1&method=finercam")
        dialogs = []
        visited.page.on("dialog", lambda dialog: (dialogs.append(dialog), dialog.dismiss()))
        yield visited
        assert not dialogs
        visited.close()


def test_names_of_classes_stay_words(hostile, picture, tmp_path):
    visited, page = hostile, hostile.page
    picture.save(tmp_path / "a.png")
    visited.upload(tmp_path / "a.png")
    visited.wait_until_done()
    shown = {}

    def read(place, selector):
        expect(page.locator(selector).first).to_be_visible()
        shown[place] = [words.strip() for words in page.locator(selector).all_text_contents()]

    read("left", "#left-answer dt")
    read("right", "#right-answer dt")
    assert len({*shown["left"], *shown["right"]}) > 5
    page.locator("#left-answer button").nth(1).click()
    visited.wait_until_done()
    expect(page.locator("#left-heat img")).to_have_attribute(
        "alt", re.compile(re.escape(shown["left"][1]))
    )
    expect(page.locator("#left-heat-caption")).to_contain_text(shown["left"][1])
    page.get_by_label("Rather than").click()
    read("rivals", "[role=option]")
    shown["rivals"] = [words.removeprefix("✓").strip() for words in shown["rivals"]]
    rival = next(words for words in reversed(shown["rivals"]) if words in shown["left"][2:])
    page.get_by_role("option").nth(shown["rivals"].index(rival)).click()
    expect(page.locator("#left-heat-caption")).to_contain_text(f"rather than {rival}")
    visited.wait_until_done()
    page.get_by_text("What it can say").first.click()
    read("all that it can say", "#left-facts .mo-list li")
    assert shown["all that it can say"] == [*LABELS]
    with page.expect_download() as download:
        page.locator("#compare-report").click()
    with zipfile.ZipFile(download.value.path()) as report:
        written = json.loads(report.read("report.json"))
        assert {name.rpartition(".")[2] for name in report.namelist()} == {"json", "png", "txt"}
    assert shown["left"][0] in json.dumps(written, ensure_ascii=False).replace('\\"', '"')

    visited.open_tab("Mixing")
    read("mixing", "#mixing-left li span")
    read("mixing, changes", "#mixing-left-table button")
    visited.open_tab("Folder")
    page.set_input_files("#folder-files input[type=file]", tmp_path / "a.png")
    labels = io.StringIO(newline="")
    csv.writer(labels).writerow(["a.png", CLASSES[0]])
    table = {"name": "labels.csv", "mimeType": "text/csv", "buffer": labels.getvalue().encode()}
    page.set_input_files("#folder-labels input[type=file]", table)
    page.locator("#folder-start").click()
    expect(page.locator("#folder-csv")).to_be_visible()
    read("folder", "#folder-rows tbody td")

    # they are there, as they were given, and nothing of them ran or was taken for a tag
    for place, said in shown.items():
        assert any(name in words for words in said for name in CLASSES), place
    assert page.evaluate("window.ran") is None
    assert page.locator("img[src$='/x'], img[src=x], [onmouseover], main b:text('&')").count() == 0
    assert page.locator("script:text('window.ran')").count() == 0
    assert visited.widths_overrun((1280, 390)) == []
