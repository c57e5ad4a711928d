"""The Mixing tab, the report and the link, in a browser."""

from __future__ import annotations

import io
import json
import re
import urllib.parse
import zipfile
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from tests.app.visitor import NAMELESS

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
    assert visited.widths_overrun() == []


# The element that the script was given is the one that carries its state.
LENS = """(() => {
  for (let e = document.querySelector('#mixing-lens .mo-lens'); e; e = e.parentElement)
    if (e.__lens) return e.__lens;
})()"""
READ = f"{LENS}?.state.panes.length === 6 && {LENS}.state.panes.every(p => p.values)"


def add_up(page, index, whole, causal, difference):
    """The three panes of a model agree with each other and with their words."""
    (patch, before), (_, after), (_, change) = whole, causal, difference
    later = np.arange(len(before)) > patch
    assert before[later].max() > 0  # otherwise the rest would prove nothing
    assert after[patch] > 0
    assert (after[later] == 0).all()
    # Each is sent in steps of a thirty-thousandth of its greatest.
    step = 3 * max(before.max(), after.max()) / 2**15
    assert change[later] == pytest.approx(-before[later], abs=step)
    assert change == pytest.approx(after - before, abs=step)
    assert (change != 0).any()
    told = page.locator("#mixing-lens .mo-lens-words").nth(index + 2).inner_text()
    said = r"loses (\d+) % of what it read: (\d+) % lay on later tokens.* It gains (?:< )?(\d+) %"
    shares = [-change[change < 0].sum(), before[later].sum(), change[change > 0].sum()]
    found = [float(share) for share in re.search(said, told).groups()]
    assert found == pytest.approx([100 * share / before.sum() for share in shares], abs=1)
    legends = page.locator("#mixing-lens .mo-lens-legend")
    ends = [legends.nth(index + i).locator("span").all_inner_texts() for i in range(3)]
    (_, high), (_, same), (least, most) = [[end.lstrip("≤≥ ") for end in pair] for pair in ends]
    assert high == same  # what looks alike in both mixings is alike
    assert least == f"−{most}"


def test_what_a_token_reads_in_both_mixings_and_the_difference(visit):
    visited = visit(query="v=1&tab=mixing", wait=False)
    page = visited.page
    open_mixing(visited)
    page.wait_for_function(READ)
    hits = page.locator("#mixing-lens .mo-lens-hit")
    expect(hits).to_have_count(6)

    def panes():
        """Patch, and what is drawn, of each pane."""
        found = page.evaluate(f"{LENS}.state.panes.map(p => [p.patch, [...p.values]])")
        return [(patch, np.array(values)) for patch, values in found]

    def at(side, row, column):
        """Point at a patch of one model's causal picture, counted from 0."""
        hit = hits.nth(3 * side + 1)
        rows = 8 if side == 0 else 16
        box = hit.bounding_box()
        hit.click(
            position={
                "x": (column + 0.5) * box["width"] / rows,
                "y": (row + 0.5) * box["height"] / rows,
            }
        )
        page.wait_for_function(READ)

    at(1, 4, 11)
    assert [patch for patch, _ in panes()] == [2 * 8 + 5] * 3 + [4 * 16 + 11] * 3
    for index in (0, 3):
        add_up(page, index, *panes()[index : index + 3])

    # By keyboard: what was read comes at once, and what was not is asked for.
    hits.nth(3).focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(READ)
    assert panes()[5][0] == 4 * 16 + 12
    says = page.locator("#mixing-lens .mo-lens-says")
    expect(says).to_contain_text("Vim-Atto, causal minus bidirectional: Row 5, column 13 of 16")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(READ)
    assert panes()[3][0] == 4 * 16 + 11
    assert not any("queue" in url for url in asked)
    # One layer of one model; nothing to play, and one thing to show.
    page.locator("#mixing-right-layer input").click()
    page.get_by_role("option", name="Layer 1 of 8").click()
    expect(page.locator("#mixing-lens .mo-lens-caption").nth(4)).to_contain_text("Layer 1 of 8")
    page.wait_for_function(READ)
    expect(page.locator("#mixing-lens .mo-lens-bar")).to_be_hidden()
    assert page.evaluate(NAMELESS) == []
    # One model alone.
    page.locator("#mixing-which").get_by_label("Left").click()
    expect(hits).to_have_count(3)
    expect(page.locator("#mixing-right-layer")).to_be_hidden()


def chosen_map(visited):
    """Choose the class, layer and rival of the heat maps, each unlike what the page begins with."""
    page = visited.page
    row = page.locator("#left-answer button").nth(3)
    explained = row.locator("dt").inner_text()
    row.click()
    caption = page.locator("#left-heat-caption")
    expect(page.get_by_text(f"Explaining {explained}.")).to_be_visible()
    visited.wait_until_done()
    page.locator("#left-depth input[type=range]").focus()
    page.keyboard.press("ArrowLeft")
    expect(caption).to_contain_text("layers.6")
    visited.wait_until_done()
    layer = page.locator("#left-depth input[type=number]").input_value()
    page.get_by_label("Method").click()
    page.get_by_role("option", name="Finer-CAM").click()
    expect(caption).to_contain_text("rather than")
    visited.wait_until_done()
    page.get_by_label("Rather than").click()
    choice = page.get_by_role("option").nth(2)
    rival = choice.inner_text().removeprefix("✓").strip()
    choice.click()
    expect(caption).to_contain_text(f"rather than {rival}")
    return explained, layer, rival


def test_a_link_restores_every_option_at_once(visit, server):
    visited = visit()
    page = visited.page
    page.get_by_role("button", name="Swap models").click()
    page.get_by_label("Each its own").click()
    page.get_by_label("Quantity").click()
    page.get_by_role("option", name="Memory half-life").click()
    page.get_by_role("button", name="Dahlia").click()
    visited.wait_until_done()
    page.get_by_label("Causal", exact=True).click()
    visited.wait_until_done()
    explained, layer, rival = chosen_map(visited)
    caption = page.locator("#left-heat-caption").inner_text()
    visited.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy link").click()
    expect(page.locator("#link-status")).to_contain_text("Link copied.")
    address = page.evaluate("navigator.clipboard.readText()")
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
    assert address == page.url
    for key in ("class", "rival"):
        assert re.fullmatch(r"n[0-9]{8}", query.pop(key))
    assert query == {
        "v": "1", "ex": "3", "mix": "causal", "scale": "own", "quantity": "half_life",
        "l": "vim_atto.tiny_imagenet", "r": "mambaout_atto.tiny_imagenet",
        "method": "finercam", "layerl": layer,
    }  # fmt: skip
    asked = visited.rows("left")
    again = visit(query=urllib.parse.urlsplit(address).query)
    assert again.rows("left") == asked
    expect(again.page.get_by_label("Left model")).to_have_value(re.compile("^Vim-Atto"))
    expect(again.page.get_by_label("Causal", exact=True)).to_be_checked()
    expect(again.page.get_by_label("Each its own")).to_be_checked()
    expect(again.page.locator("#left-scan-caption")).to_contain_text("tokens")
    expect(again.page.locator("#left-heat-caption")).to_have_text(caption, use_inner_text=True)
    expect(again.page.get_by_text(f"Explaining {explained}.")).to_be_visible()
    expect(again.page.get_by_label("Rather than")).to_have_value(rival)
    expect(again.page.locator("#left-depth input[type=number]")).to_have_value(layer)
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
    said = page.locator("#link-status")
    expect(said).to_contain_text("part was left out: l, mix, layer, ex.")


def test_a_link_restores_the_lens(visit):
    visited = visit(query="v=1&tab=lens&measure=scan&ex=2", wait=False)
    page = visited.page
    ready = page.locator("#lens-status [role=status]")
    expect(ready).to_have_text(re.compile("^The lens is ready"))
    for place, words in (("path", "backward"), ("signed", "Keep signs")):
        page.locator(f"#lens-{place}").get_by_label(words).click()
    page.get_by_label("Layer, right model").click()
    page.get_by_role("option", name="Layer 3 of 8").click()
    expect(page.locator("#lens figure").nth(1)).to_contain_text("Layer 3 of 8")
    expect(ready).to_have_text(re.compile("^The lens is ready"))
    page.get_by_label("What reads it").focus()
    page.keyboard.press("Space")
    token = page.locator("#lens .mo-lens-hit").nth(1)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    token.focus()
    page.keyboard.press("Home")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.wait_for_function("location.search.includes('at=0.7813')")
    assert asked == []  # the link follows the token without the server
    said = token.get_attribute("aria-valuetext")
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page.url).query))
    assert query == {
        "v": "1", "ex": "2", "tab": "lens", "measure": "scan", "signed": "1", "lens": "readers",
        "lenspath": "backward", "lensl": query["lensl"], "lensr": "layers.2.mixer",
        "at": query["at"],
    }  # fmt: skip
    again = visit(query=urllib.parse.urlencode(query), wait=False)
    there = again.page.locator("#lens .mo-lens-hit").nth(1)
    expect(there).to_have_attribute("aria-valuetext", said)
    expect(again.page.get_by_label("What reads it")).to_be_checked()
    expect(again.page.get_by_label("Keep signs")).to_be_checked()
    expect(again.page.locator("#lens-path").get_by_label("backward")).to_be_checked()
    expect(again.page.get_by_label("Layer, right model")).to_have_value("Layer 3 of 8")
    assert dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(again.page.url).query)) == query
    # A layer of another model: a sentence, and the model's own.
    other = visit(query="v=1&tab=lens&measure=scan&ex=2&lensl=layers.2.mixer", wait=False)
    ready = other.page.locator("#lens-status [role=status]")
    expect(ready).to_contain_text("MambaOut-Atto has no layer layers.2.mixer")
