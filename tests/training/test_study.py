"""The study: what it trains, what it takes as finished, and what it makes of the numbers."""

from __future__ import annotations

import copy
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from mambaout.evaluation.study_plot import plot
from mambaout.evaluation.study_table import rows_of, study_table
from mambaout.evaluation.study_words import COLUMNS
from mambaout.training.__main__ import main
from mambaout.training.study import Planned, parser, plan, recipes_of

CHECKPOINTS = Path(__file__).parents[2] / "checkpoints"
SVG = "{http://www.w3.org/2000/svg}"


def bundled(name):
    return json.loads((CHECKPOINTS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def pair():
    names = ("mambaout_atto.tiny_imagenet", "mambaout_atto.tiny_imagenet_causal")
    return [bundled(name) for name in names]


def study(pictures, out, *more):
    """The command for a GPU and all classes, made small."""
    return main(
        [
            *("study", "--schedule=full", "--classes=all", f"--data={pictures}", f"--out={out}"),
            *("--models", "test_mambaout", "--device=cpu", "--threads=1", "--epochs=1"),
            *("--batch-size=12", "--sizes=32:1", "--precision=float32", "--limit-train=24"),
            *more,
        ]
    )


def test_the_whole_table_from_one_command_that_may_be_cut_off(pictures, tmp_path, capsys):
    out = tmp_path / "study"
    assert study(pictures, out, "--mixings", "bidirectional") == 0
    row = json.loads((out / "study.json").read_text("utf-8"))["rows"][0]
    assert row["trained"] is not None
    assert row["trained_causally"] is None
    assert "not trained" in (out / "study.md").read_text("utf-8")
    capsys.readouterr()
    assert study(pictures, out, "--seeds", "0", "1") == 0
    said = capsys.readouterr().out
    assert "test_mambaout.bidirectional.seed0: finished" in said
    assert said.count("epoch 1/1") == 3
    rows = json.loads((out / "study.json").read_text("utf-8"))["rows"]
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        for name in COLUMNS:
            assert row[name]["count"] == 18
            assert row[name]["interval"][0] <= row[name]["top1"] <= row[name]["interval"][1]
        card = f"exports/test_mambaout.causal.seed{row['seed']}/test_mambaout.tiny_imagenet_causal"
        told = json.loads((out / f"{card}.json").read_text("utf-8"))
        assert row["trained_causally"]["top1"] == told["val_top1"]
        assert row["opened"]["top1"] == told["other_mixing"]["val_top1"]
        assert told["dtype"] in {"float16", "float32"}
    assert "seed 1" in (out / "study.md").read_text("utf-8")
    assert "seed 1" in (out / "study.svg").read_text("utf-8")


def test_with_nothing_finished_and_no_pictures_there_is_nothing_to_tell(tmp_path, capsys):
    assert main(["study", f"--out={tmp_path}"]) == 2
    assert "no finished export was found" in capsys.readouterr().err


def test_finished_exports_are_told_of_without_pictures(tmp_path, pair):
    assert main(["study", f"--out={tmp_path}", "--cards", str(CHECKPOINTS)]) == 0
    rows = {r["model"]: r for r in json.loads((tmp_path / "study.json").read_text("utf-8"))["rows"]}
    row = rows["mambaout_atto"]
    assert row["trained"]["top1"] == pair[0]["val_top1"]
    assert row["switched"]["top1"] == pair[0]["other_mixing"]["val_top1"]
    assert row["trained_causally"]["top1"] == pair[1]["val_top1"]
    assert row["epochs"] == [24, 3]


def test_the_short_schedule_is_the_one_that_trained_the_bundled_vim():
    planned = {p.place: p for p in plan(parser().parse_args([]))}
    assert len(planned) == 8
    vim = bundled("vim_atto.tiny_imagenet")
    told_by = [place for place, p in planned.items() if p.is_told_by(vim)]
    assert told_by == ["vim_atto.bidirectional.seed0"]
    longer = Planned((planned["vim_atto.bidirectional.seed0"].recipes[0],))
    assert not longer.is_told_by(vim)


def test_options_change_every_run_and_the_rest_is_the_schedules():
    runs = plan(parser().parse_args(["--classes", "all", "--seeds", "0", "7", "--lr", "0.01"]))
    assert len(runs) == 16
    assert {recipe.classes for run in runs for recipe in run.recipes} == {"all"}
    assert {recipe.lr for run in runs for recipe in run.recipes} == {0.01}
    assert {tuple(recipe.epochs for recipe in run.recipes) for run in runs} == {(13, 3)}


def test_cards_of_other_recipes_stand_in_rows_of_their_own(pair):
    assert len(rows_of(pair)) == 1
    other = copy.deepcopy(pair[1])
    other["start"]["recipe"]["lr"] *= 2
    assert len(rows_of([pair[0], other])) == 2
    early = copy.deepcopy(pair[1])
    early["epochs"] = 2
    assert [row["epochs"] for row in rows_of([pair[0], early])] == [[24, 3], [24, 2]]
    assert [recipe["epochs"] for recipe in recipes_of(pair[0])] == [24, 3]


def test_the_table_says_what_the_cards_say(pair):
    table = study_table(rows_of(pair))
    for card in pair:
        for told in (card, card["other_mixing"]):
            low, high = told["val_top1_interval"]
            assert f"{told['val_top1']:.1%} ({low:.1%} to {high:.1%})".replace("%", " %") in table
    assert "24 + 3" in table
    assert "1,200 validation pictures of 24 classes" in table


def test_the_plot_has_every_number_in_its_place_and_in_words(pair):
    rows = rows_of([*pair, bundled("vim_atto.tiny_imagenet")])
    drawing = ET.fromstring(plot(rows))
    words = drawing.find(f"{SVG}desc").text
    assert "64.3%" in words
    assert "mambaout_atto" in words
    ticks = {
        t.text: float(t.get("x"))
        for t in drawing.iter(f"{SVG}text")
        if t.get("text-anchor") == "middle"
    }
    scale = (ticks["50"] - ticks["0"]) / 0.5
    circles = [
        (c.get("class"), float(c.get("cx")))
        for c in drawing.iter(f"{SVG}circle")
        if float(c.get("cy")) > 40
    ]
    expected = [(name, row[name]["top1"]) for row in rows for name in ("trained", "switched")]
    assert [name for name, _ in circles] == [name for name, _ in expected]
    for (_, x), (_, share) in zip(circles, expected, strict=True):
        assert x == pytest.approx(ticks["0"] + scale * share, abs=0.2)
    assert max(x for _, x in circles) < 700
    assert "prefers-color-scheme: dark" in drawing.find(f"{SVG}style").text


def test_the_tables_and_the_plot_in_the_documents_are_those_of_the_cards(tmp_path):
    renew = "renew it: python -m mambaout.training study --cards checkpoints --out FOLDER"
    root = CHECKPOINTS.parent
    assert main(["study", f"--out={tmp_path}", "--cards", str(CHECKPOINTS)]) == 0
    table = (tmp_path / "study.md").read_text("utf-8")
    for page in ("README.md", "docs/study.md"):
        assert table in (root / page).read_text("utf-8"), renew
    assert (root / "docs/study.svg").read_text("utf-8") == (tmp_path / "study.svg").read_text(
        "utf-8"
    ), renew
