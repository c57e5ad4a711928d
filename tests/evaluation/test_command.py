"""The command from outside: what it counts, that it goes on, and that sharing changes nothing."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mambaout.evaluation.__main__ import main
from mambaout.training.classes import EVERYDAY

from .conftest import MAMBAOUT, RESNET, VIT

ROOT = Path(__file__).parents[2]


def command(folder, *more, models=(MAMBAOUT,), mixing=("bidirectional",)):
    return [
        *("--data", str(folder), "--models", *models, "--mixing", *mixing),
        *("--device=cpu", "--threads=1", *more),
    ]


def evaluated(folder, *more, **choice):
    """What ``--json`` holds."""
    assert main(command(folder, "--json=report.json", *more, **choice)) == 0
    return json.loads(Path("report.json").read_text(encoding="utf-8"))


def test_counts_are_those_of_timm_one_picture_at_a_time(sorted_pictures, capsys):
    folder, answers = sorted_pictures
    report = evaluated(folder, "--csv=answers.csv", mixing=("bidirectional", "causal"))
    first_right = [output == five[0] for output, five in answers.values()]
    assert len({five[0] for _, five in answers.values()}) > 3  # else any confusion would do
    result, causal = report["results"]
    assert (result["count"], result["top1"]["right"]) == (24, sum(first_right)) == (24, 12)
    assert result["top5"]["right"] == sum(output in five for output, five in answers.values())
    for entry in result["classes"]:
        output = [wnid for wnid, _ in EVERYDAY].index(entry["class"])
        of_class = [five[0] == output for right, five in answers.values() if right == output]
        assert (entry["count"], entry["top1"]["right"]) == (len(of_class), sum(of_class))
    assert causal["top1"]["right"] != 12
    with Path("answers.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["mixing"] == "bidirectional"]
    labels = [label for _, label in EVERYDAY]
    assert {row["file"]: [row[f"answer{n}"] for n in range(1, 6)] for row in rows} == {
        name: [labels[output] for output in five] for name, (_, five) in answers.items()
    }
    assert sum(int(row["right1"]) for row in rows) == 12
    said = capsys.readouterr()
    assert "50.00  31.4 – 68.6" in said.out
    assert "24 of 24 pictures" in said.err


def test_models_are_compared_on_what_both_know_and_the_reason_for_no_causal_form_is_kept(
    sorted_pictures, tmp_path
):
    folder = tmp_path / "data"
    shutil.copytree(sorted_pictures[0], folder)
    zebra = folder / "val" / "n02391049" / "zebra.png"
    zebra.parent.mkdir()
    shutil.copy(next(folder.glob("val/*/0.png")), zebra)
    report = evaluated(folder, models=(MAMBAOUT, RESNET), mixing=("bidirectional", "causal"))
    views = [(r["model"], r["mixing"], r["count"]) for r in report["results"]]
    assert views == [
        (MAMBAOUT, "bidirectional", 24),
        (MAMBAOUT, "causal", 24),
        (RESNET, "bidirectional", 25),
    ]
    (missing,) = report["not_evaluated"]
    assert (missing["model"], missing["mixing"]) == (RESNET, "causal")
    assert "no token mixer with a causal form" in missing["why_not"]
    assert [model["left_out"] for model in report["models"]] == [["n02391049"], []]
    assert [pair["count"] for pair in report["agreement"]] == [24, 24, 24]
    for pair in report["agreement"]:
        parts = (pair[key] for key in ("both_right", "first_only", "second_only", "neither"))
        assert sum(parts) == pair["count"]
    assert zebra.name not in json.dumps(report["disagreements"])
    assert report["disagreements"]


def test_damaged_pictures_are_named_and_the_others_counted(sorted_pictures, tmp_path, capsys):
    folder = tmp_path / "data"
    shutil.copytree(sorted_pictures[0], folder)
    bad = folder / "val" / EVERYDAY[0].wnid / "bad.png"
    bad.parent.mkdir(exist_ok=True)
    bad.write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    report = evaluated(folder)
    assert [entry["file"] for entry in report["damaged"]] == [f"val/{EVERYDAY[0].wnid}/bad.png"]
    assert report["results"][0]["count"] == 24
    assert "Damaged, and not counted: 1" in capsys.readouterr().out


def test_a_limit_takes_classes_in_turn(sorted_pictures):
    folder, _ = sorted_pictures
    classes = len(list((folder / "val").iterdir()))
    report = evaluated(folder, f"--limit={classes}")
    assert {entry["count"] for entry in report["results"][0]["classes"]} == {1}


def test_the_same_command_goes_on_and_another_is_refused(sorted_pictures, capsys):
    folder, _ = sorted_pictures
    report = evaluated(folder, "--out=out")
    path = Path("out") / "answers-0.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:20]) + lines[20][:30])
    assert evaluated(folder, "--out=out", "--batch-size=64") == report
    capsys.readouterr()
    for changed, message in (
        (["--batch-size=5"], "batch size: '64' there, '5' now"),
        (["--limit=3"], "pictures: '24, digest "),
        (["--mixing", "causal"], "mixing: 'bidirectional' there, 'causal' now"),
        (["--models", VIT], f"models: '{MAMBAOUT}' there, '{VIT}' now"),
    ):
        assert main([*command(folder, "--out=out"), *changed]) == 2
        said = capsys.readouterr().err
        assert message in said
        assert "choose another --out" in said


def test_of_many_classes_those_are_shown_on_which_answers_differ_most(
    sorted_pictures, capsys, monkeypatch
):
    monkeypatch.setattr("mambaout.evaluation.table._ALL_CLASSES", 2)
    monkeypatch.setattr("mambaout.evaluation.table._LISTED", 1)
    results = evaluated(sorted_pictures[0], mixing=("bidirectional", "causal"))["results"]
    shares = [{e["label"]: e["top1"]["share"] for e in result["classes"]} for result in results]
    widest = max(abs(shares[0][label] - shares[1][label]) for label in shares[0])
    shown = capsys.readouterr().out.partition("answers differ most")[2].splitlines()[2]
    label = next(label for label in shares[0] if shown.startswith(f"{label}  "))
    assert abs(shares[0][label] - shares[1][label]) == widest > 0


def test_a_folder_that_may_not_be_written_to_is_said(sorted_pictures, capsys):
    Path("file").touch()
    assert main(command(sorted_pictures[0], "--out=file/out")) == 2
    assert "file/out" in capsys.readouterr().err


def test_without_a_folder_for_answers_each_configuration_has_its_own(sorted_pictures, capsys):
    folder, _ = sorted_pictures
    assert main(command(folder)) == main(command(folder, "--limit=5")) == 0
    assert len(list(Path("runs/evaluation").iterdir())) == 2
    capsys.readouterr()
    assert main(command(folder)) == 0
    assert "24 are done already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--data", "nowhere"], "there is no folder nowhere"),
        (["--models", "vim_giant"], "No model is named vim_giant"),
        (["--models", RESNET, "--mixing", "causal"], "no model has the mixing"),
        (["--device", "mps"], "--device mps: torch finds no such device"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(sorted_pictures, capsys, more, message):
    assert main([*command(sorted_pictures[0]), *more]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a picture that blocks needs a named pipe")
def test_killed_and_finished_by_two_processes_it_counts_as_one(sorted_pictures, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(sorted_pictures[0], folder)
    endless = max(folder.glob("val/*")) / "zz.png"  # the last picture
    os.mkfifo(endless)  # reading it waits for ever: the run does not end before it is killed
    arguments = command(folder, "--batch-size=3", "--out=out", mixing=("bidirectional", "causal"))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    answers = Path("out/answers-0.jsonl")
    killed = subprocess.Popen(
        [sys.executable, "-m", "mambaout.evaluation", *arguments],
        env=environment, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while (not answers.is_file() or not answers.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait(timeout=30) == -signal.SIGKILL
    done = answers.read_bytes().count(b"\n")
    assert 0 < done < 25
    endless.unlink()
    endless.touch()  # as long as the pipe was: the same folder, with a damaged picture
    shared = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         "-m", "mambaout.evaluation", *arguments, "--json=shared.json", "--csv=shared.csv"],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert shared.returncode == 0, shared.stderr
    assert Path("out/answers-1.jsonl").stat().st_size
    arguments[arguments.index("--out=out")] = "--out=alone"
    assert main([*arguments, "--json=alone.json", "--csv=alone.csv"]) == 0
    assert Path("shared.json").read_bytes() == Path("alone.json").read_bytes()
    assert Path("shared.csv").read_bytes() == Path("alone.csv").read_bytes()
    report = json.loads(Path("alone.json").read_bytes())
    assert (report["results"][0]["count"], len(report["damaged"])) == (24, 1)
