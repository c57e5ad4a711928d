"""The tabs "Folder" and "When does it pay?" in a browser."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def many(pictures, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\nsun.png,lion\nstripes.jpg,no such thing\n", encoding="utf-8")
    return [pictures / name for name in ("sun.png", "stripes.jpg", "text.png")], labels


def test_many_pictures_are_asked_about_and_one_is_opened(visit, many, tmp_path):
    visited = visit(scheme="dark", query="v=1&tab=folder", wait=False)
    page = visited.page
    page.set_input_files("#folder-files input[type=file]", list(map(str, many[0])))
    page.set_input_files("#folder-labels input[type=file]", str(many[1]))
    expect(page.locator("#folder-files")).to_contain_text("text")
    expect(page.locator("#folder-labels")).to_contain_text("labels")
    page.get_by_role("button", name="Ask both models").click()
    status = page.locator("#folder-status [role=status]")
    expect(status).to_have_text(re.compile(r"^2 pictures answered in "))
    summary = page.locator("#folder-summary")
    expect(summary).to_contain_text(re.compile(r"Same first answer to \d of 2 pictures"))
    expect(summary).to_contain_text("no such thing")
    expect(summary).to_contain_text("1 file could not be read")
    rows = page.locator("#folder-rows tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(2)).to_contain_text("not a picture")
    disagreeing = page.locator("#folder-rows tr.mo-differs").count()
    page.get_by_label("Only disagreements").click()
    expect(rows).to_have_count(disagreeing)
    page.get_by_label("Only disagreements").click()
    expect(rows).to_have_count(3)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download CSV").click()
    with Path(saved.value.path()).open(encoding="utf-8") as file:
        answers = list(csv.DictReader(file))
    assert [row["file"] for row in answers] == ["sun.png"] * 2 + ["stripes.jpg"] * 2 + ["text.png"]
    first = answers[2]["answer1"]
    assert visited.widths_overrun() == []
    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("button", name="Open stripes.jpg in Compare").focus()
    page.keyboard.press("Enter")
    visited.wait_until_done()
    compare = page.get_by_role("tab", name="Compare")
    expect(compare).to_have_attribute("aria-selected", "true")
    expect(page.locator("#left-answer button").first).to_contain_text(first)


def test_when_it_pays_is_answered_sorted_and_measured_until_it_is_stopped(visit):
    visited = visit(query="v=1&tab=long", wait=False)
    page = visited.page
    verdict = page.locator("#long-verdict")
    expect(verdict).to_contain_text("Short: DeiT-Small makes 196 tokens of 384 channels")
    page.get_by_label("COCO, 800 × 1280").click()
    expect(verdict).to_contain_text("Long: DeiT-Small makes 4,000 tokens")
    page.get_by_label("Picture height, in pixels").fill("1")
    page.keyboard.press("Tab")
    expect(page.get_by_test_id("toast-body")).to_contain_text("from 16 to 8192 pixels")
    names = page.locator("#long-table tbody th")
    heading = page.locator("#long-table th", has_text="top-1")
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "ascending")
    expect(names.first).to_have_text("PVTv2-B0")  # 70.5 %
    page.keyboard.press("Enter")
    expect(heading).to_have_attribute("aria-sort", "descending")
    expect(names.first).to_have_text("CAFormer-M36")  # 85.2 %
    page.get_by_role("button", name="Measure on this machine").click()
    status = page.locator("#long-status [role=status]")
    expect(status).to_have_text(re.compile("^(Starting|Measured)"))
    page.get_by_role("button", name="Stop measuring").click()
    expect(status).to_have_text(re.compile("^Stopped"))
    assert visited.widths_overrun() == []
