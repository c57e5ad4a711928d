"""What is shown, as a report: both tabs, without a page."""

from __future__ import annotations

import io
import json
import zipfile

from app.compare.handlers import View
from app.compare.reported import report_of
from app.compare.request import compare
from app.mixing.handlers import Chosen, ask_mixings
from app.mixing.reported import report_of as mixing_report_of
from app.report.download import FILE_NAME, written
from app.store import DEFAULT_PAIR
from mambaout.evaluation.comparison_report import PictureFacts, write_report

BOTH = Chosen(dict(zip(("left", "right"), DEFAULT_PAIR, strict=True)), "both", {"right": ["row"]})


def opened(report):
    archive = zipfile.ZipFile(io.BytesIO(write_report(report)))
    return set(archive.namelist()), json.loads(archive.read("report.json"))


def test_a_comparison_is_reported_as_it_is_shown(store, picture):
    shown = list(compare(store, picture, DEFAULT_PAIR, "causal"))[-1][0]
    names, document = opened(report_of(shown, View(quantity="retention")))
    assert {"README.txt", "report.json", "scan_right.png"} <= names
    assert "scan_left.png" not in names  # it has no scan, and says so
    assert "no scan" in document["answers"]["left"]["scan"]["why_not"]
    assert document["picture"]["sha256"] == PictureFacts.of(picture).sha256
    assert document["options"]["view"]["quantity"] == "retention"
    for side, answered in zip(("left", "right"), shown.sides, strict=True):
        found = document["answers"][side]
        labels = [answered.facts.vocabulary.labels[i] for i in answered.answer.best()]
        assert [each["label"] for each in found["top5"]] == labels
        assert found["mixing"] == "causal"
        assert (f"overlay_{side}.png" in names) == (answered.heat is not None)
        before = document["answers"][f"{side}_bidirectional"]
        assert before["mixing"] == "bidirectional"
        assert before["probabilities"] != found["probabilities"]
    pairs = [(each["first"], each["second"]) for each in document["differences"]]
    assert pairs == [("left_bidirectional", "left"), ("right_bidirectional", "right"),
                     ("left", "right")]  # fmt: skip


def test_nothing_is_reported_before_there_is_something():
    assert report_of(None, View()) is None
    assert mixing_report_of(None) is None


def test_a_model_that_is_not_here_is_reported_with_its_reason(store, picture, monkeypatch):
    store = type(store)(offline=True)
    names = (DEFAULT_PAIR[0], "vim_tiny_patch16_224.hustvl_in1k")
    shown = list(compare(store, picture, names, "bidirectional"))[-1][0]
    _, document = opened(report_of(shown, View()))
    assert [*document["answers"]] == ["left"]
    assert document["missing"]["right"]
    assert document["differences"] == []


def test_both_mixings_and_what_was_trained_are_reported(store, picture):
    shown = list(ask_mixings(store, picture, BOTH))[-1]["result"]
    names, document = opened(mixing_report_of(shown))
    assert {"overlay_left_bidirectional.png", "difference_left_causal.png"} <= names
    answers = document["answers"]
    assert answers["left_trained"]["model"] == f"{DEFAULT_PAIR[0]}_causal"
    assert answers["left_causal"]["model"] == DEFAULT_PAIR[0]
    found = {(each["first"], each["second"]): each for each in document["differences"]}
    assert found["left_bidirectional", "left_causal"]["kl_nats"] > 0
    assert ("left_bidirectional", "left_trained") in found
    again = list(ask_mixings(store, picture, BOTH))[-1]["result"]
    assert write_report(mixing_report_of(again)) == write_report(mixing_report_of(shown))


def test_equal_reports_are_one_file(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    first, second, third = written(b"a", FILE_NAME), written(b"a", FILE_NAME), written(b"b", "x")
    assert first == second != third
    assert first.read_bytes() == b"a"
    assert tmp_path in first.parents
