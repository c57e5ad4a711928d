"""The Mixing tab, the report and the link, in a browser."""

from __future__ import annotations

import io
import json
import re
import urllib.parse
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser

MIXED = "document.querySelector('#mixing-status [role=status]')?.innerText.startsWith('Done')"


def open_mixing(visited):
    visited.open_tab("Mixing")
    visited.page.wait_for_function(MIXED)


def cells(page, table):
    """Class → before, after and change, as they are written."""
    rows = page.locator(f"{table} tbody tr")
    return {
        row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows.all()
    }


def percent(words):
    return float(re.search(r"[0-9.]+", words)[0])


def downloaded(page, name):
    with page.expect_download() as waiting:
        page.locator(f"#{name}-report").click()
    assert waiting.value.suggested_filename == "mambaout-report.zip"
    return Path(waiting.value.path()).read_bytes()


def test_switched_and_trained_are_told_apart_and_add_up(visit):
    visited = visit()
    page = visited.page
    expect(page.locator("#mixing")).to_be_visible()
    open_mixing(visited)
    expect(page.locator("#mixing")).to_be_hidden()  # both are computed: nothing to switch
    for side in ("left", "right"):
        fives = [
            page.locator(f"#mixing-{side}-{kind}_says li").all_inner_texts()
            for kind in ("bidirectional", "causal")
        ]
        assert [len(five) for five in fives] == [5, 5]
        assert fives[0] != fives[1]
        tops = [five[0].split("\n")[0] for five in fives]
        badge = page.locator(f"#mixing-{side}-change_says")
        flipped = f"Flipped: {tops[0]} → {tops[1]}"
        kept = f"Top class kept: {tops[0]}"
        expect(badge).to_contain_text(kept if tops[0] == tops[1] else flipped)
        table = cells(page, f"#mixing-{side}-table")
        assert {line.split("\n")[0] for five in fives for line in five} == set(table)
        for before, after, change in table.values():
            sign = {"+": 1, "−": -1}.get(change.strip()[0], 0)
            rise = percent(after) - percent(before)
            assert sign * percent(change) == pytest.approx(rise, abs=1.01)
        for kind in ("bidirectional", "causal", "change"):
            image = page.locator(f"#mixing-{side}-{kind}_heat img")
            assert image.get_attribute("alt")
    trained = page.locator("#mixing-left-trained_says")
    expect(trained).to_contain_text("Causal, as trained")
    expect(page.locator("#mixing-left-causal_says")).to_contain_text("Causal, switched")
    expect(page.locator("#mixing-left-trained_heading")).to_contain_text("This is not the switch")
    expect(page.locator("#mixing-left-accuracies")).to_contain_text("1,200 validation pictures")
    # One class of one model, by keyboard; then one path of the other.
    row = page.locator("#mixing-left-table tbody button").last
    label = row.inner_text()
    row.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#mixing-left-legend")).to_contain_text(f"explain {label}.")
    expect(page.locator("#mixing-left-paths_heading")).to_contain_text("no scan paths")
    page.locator("#mixing-right-paths").get_by_label("backward").check()
    says = page.locator("#mixing-right-paths_says")
    expect(says).to_contain_text("Only these run: backward.")
    expect(says).to_contain_text("mean over the paths")
    first = downloaded(page, "mixing")
    assert downloaded(page, "mixing") == first
    archive = zipfile.ZipFile(io.BytesIO(first))
    document = json.loads(archive.read("report.json"))
    assert document["answers"]["right_paths"]["paths"] == ["backward"]
    assert "difference_right_paths.png" in archive.namelist()


def test_a_link_restores_every_option_at_once(visit, server):
    visited = visit()
    page = visited.page
    page.get_by_role("button", name="Dahlia").click()
    visited.wait_until_done()
    page.get_by_label("Causal", exact=True).click()
    visited.wait_until_done()
    page.get_by_role("button", name="Swap models").click()
    page.get_by_label("Each its own").click()
    page.get_by_label("Quantity").click()
    page.get_by_role("option", name="Memory half-life").click()
    visited.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#link-status")).to_contain_text("Link copied.")
    address = page.evaluate("navigator.clipboard.readText()")
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
    assert address == page.url
    assert query == {
        "v": "1", "ex": "3", "mix": "causal", "scale": "own", "quantity": "half_life",
        "l": "vim_atto.tiny_imagenet", "r": "mambaout_atto.tiny_imagenet",
    }  # fmt: skip
    page.get_by_role("button", name="Compare").click()
    visited.wait_until_done()
    asked = visited.rows("left")
    again = visit(query=urllib.parse.urlsplit(address).query)
    assert again.rows("left") == asked
    expect(again.page.get_by_label("Left model")).to_have_value(re.compile("^Vim-Atto"))
    expect(again.page.get_by_label("Causal", exact=True)).to_be_checked()
    expect(again.page.get_by_label("Each its own")).to_be_checked()
    expect(again.page.locator("#left-scan-caption")).to_contain_text("tokens")
    again.page.wait_for_timeout(1500)
    assert again.page.evaluate("window.__done") == 1  # answered once, with what was restored
    first = downloaded(again.page, "compare")
    assert downloaded(again.page, "compare") == first
    document = json.loads(zipfile.ZipFile(io.BytesIO(first)).read("report.json"))
    assert document["options"]["mixing"] == "causal"
    assert document["options"]["left"] == "vim_atto.tiny_imagenet"


def test_a_link_opens_its_tab_and_what_was_tampered_with_falls_back(visit):
    query = "v=1&tab=mixing&which=right&pathsr=backward&l=%3Cscript%3E&mix=x&layer=-1&ex=99&zz=1"
    visited = visit(query=query, wait=False)
    page = visited.page
    page.wait_for_function(MIXED)
    expect(page.get_by_role("tab", name="Mixing")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#mixing-left")).to_be_hidden()
    expect(page.locator("#mixing-right-paths_says")).to_contain_text("Only these run: backward.")
    expect(page.get_by_label("Left model")).to_have_value(re.compile("^MambaOut-Atto"))
    assert page.evaluate("window.__done") == 0  # Compare was not asked


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_the_window(visit, scheme):
    visited = visit(scheme=scheme)
    open_mixing(visited)
    visited.page.locator("#mixing-right-paths").get_by_label("forward").check()
    expect(visited.page.locator("#mixing-right-paths_says")).to_contain_text("Only these run")
    assert visited.widths_overrun() == []
