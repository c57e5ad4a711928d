"""A report is the same file for the same input, and says nothing else about its reader."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from mambaout.catalogue.bundled import bundled_card
from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.evaluation.comparison_report import PictureFacts, Report, write_report
from mambaout.evaluation.said import Answered, Said
from mambaout.explain import Explanation, PathTrace, ScanTrace

CLASSES = Vocabulary(tuple("abcdef"), tuple(f"n{i}" for i in range(6)))
PICTURE = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3))

# Two models asked for everything, in a process of its own: as a command would do it.
PROGRAM = """
import sys, torch
from PIL import Image
from mambaout.evaluation.said import Answered
from mambaout.evaluation.comparison import ask, with_heat, with_trace
from mambaout.evaluation.comparison_report import PictureFacts, Report, write_report
from mambaout.evaluation.models import load_model
torch.set_num_threads(1)
picture = Image.linear_gradient("L").convert("RGB").rotate(30)
answers, maps = [], {}
for id, name in (("left", "mambaout_atto.tiny_imagenet"), ("right", "vim_atto.tiny_imagenet")):
    model = load_model(name, ["causal"], torch.device("cpu"))
    view, image = model.views["causal"], model.transform(picture)[None]
    answer = Answered(id, name, "causal", ask(view, image, model.classes.vocabulary))
    answers.append(with_trace(with_heat(answer, view, image, 3, "hirescam"), view, image))
report = Report(PictureFacts.of(picture), {"mixing": "causal"}, "cpu", answers, [("left", "right")],
                maps={"overlay_left": picture})
sys.stdout.buffer.write(write_report(report))
"""


@pytest.fixture(autouse=True)
def places():
    """The bundled weights, not the folder's stand-ins: a report names what was loaded."""


def said(*probabilities):
    return Said(CLASSES, np.array(probabilities, np.float32))


@pytest.fixture
def report():
    values = np.array([[0, 1 / 3], [2, 0.5]], np.float32)
    heat = Explanation(values, "logit", False, "gradcam", "stages.3", 0, "take care")
    quantities = {name: np.array([1.0, 2.0, np.inf], np.float32) for name in PathTrace.units}
    path = PathTrace("layers.0", 0, "forward", np.arange(3), (1, 2), 1, **quantities)
    left = Answered(
        "left", "mambaout_atto.tiny_imagenet", "bidirectional",
        said(0.5, 0.2, 0.1, 0.1, 0.06, 0.04), heat=heat, no_trace="MambaOut has no scan",
    )  # fmt: skip
    right = Answered(
        "right", "vim_atto.tiny_imagenet", "causal",
        said(0.2, 0.5, 0.1, 0.1, 0.06, 0.04), paths=("forward",),
        no_heat="zero everywhere", trace=ScanTrace([path]),
    )  # fmt: skip
    return Report(
        PictureFacts.of(PICTURE), {"method": "gradcam"}, "cpu", [left, right], [("left", "right")],
        {"third": "not here"}, {"overlay_left": PICTURE},
    )  # fmt: skip


def opened(report):
    archive = zipfile.ZipFile(io.BytesIO(write_report(report)))
    return archive, json.loads(archive.read("report.json"))


def test_it_holds_what_it_says(report):
    archive, document = opened(report)
    assert archive.namelist() == ["README.txt", "overlay_left.png", "report.json"]
    assert document["schema"] == 1
    assert document["software"]["torch"].startswith("2.")
    assert document["software"]["Python"].startswith("3.")
    # SHA-256 of the bytes 0 … 47.
    assert document["picture"] == {
        "sha256": "4dbdc2b2b62cb00749785bc84202236dbc3777d74660611b8e58812f0cfde6c3",
        "width": 4, "height": 4,
    }  # fmt: skip
    model = document["models"]["vim_atto.tiny_imagenet"]
    assert model["weights_sha256"] == bundled_card("vim_atto.tiny_imagenet")["sha256"]
    assert model["trained_mixing"] == "bidirectional"
    left, right = document["answers"]["left"], document["answers"]["right"]
    assert [each["label"] for each in left["top5"]] == [*"abcde"]
    assert left["top5"][0] == {"key": "n0", "label": "a", "probability": 0.5}
    assert left["probabilities"]["f"] == 0.04
    assert left["heat"]["grid"] == [2, 2]
    assert left["heat"]["class"]["label"] == "a"
    assert (left["heat"]["least"], left["heat"]["greatest"]) == (0, 2)
    assert left["heat"]["values"] == [[0, 0.333333], [2, 0.5]]
    assert left["scan"] == {"why_not": "MambaOut has no scan"}
    assert right["paths"] == ["forward"]
    assert right["heat"] == {"why_not": "zero everywhere"}
    [path] = right["scan"]
    assert (path["number"], path["scan_path"], path["grid"]) == (1, "forward", [1, 2])
    assert path["quantities"]["delta"]["least"] == 1
    assert path["quantities"]["delta"]["greatest"] is None  # JSON knows no infinity
    [found] = document["differences"]
    assert (found["first"], found["second"]) == ("left", "right")
    assert (found["same_top_class"], found["common_in_top5"]) == (False, 5)
    assert found["kl_nats"] == pytest.approx(0.3 * np.log(2.5), rel=1e-5)
    assert document["missing"] == {"third": "not here"}


def test_the_text_explains_every_file_and_what_not_to_believe(report):
    archive, _ = opened(report)
    words = " ".join(archive.read("README.txt").decode().split())
    assert all(name in words for name in archive.namelist() if name != "README.txt")
    assert "trained bidirectionally" in words
    assert "Its class token stands in the middle" in words
    assert "Vim-Atto, forward alone: These weights were trained with all" in words
    assert "no evidence for or against the paper" in words
    plain = replace(report, answers=report.answers[:1], pairs=[])
    words = " ".join(opened(plain)[0].read("README.txt").decode().split())
    assert "trained bidirectionally" not in words


def test_it_brings_no_metadata_along(report, tmp_path):
    secret = PngInfo()
    secret.add_text("Author", "somebody")
    PICTURE.save(tmp_path / "holiday.png", pnginfo=secret)
    with Image.open(tmp_path / "holiday.png") as picture:
        picture.load()
        assert picture.info["Author"] == "somebody"
        data = write_report(
            replace(report, picture=PictureFacts.of(picture), maps={"overlay_left": picture})
        )
    assert data == write_report(report)
    assert b"somebody" not in data
    assert b"holiday" not in data


def test_it_is_the_same_file_in_another_process():
    command = [sys.executable, "-c", PROGRAM]
    first, second = (
        subprocess.run(
            command, cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, check=True,
        ).stdout
        for seed in ("1", "2")
    )  # fmt: skip
    assert first == second
    document = json.loads(zipfile.ZipFile(io.BytesIO(first)).read("report.json"))
    assert len(document["answers"]["right"]["scan"]) == 8
    assert document["answers"]["left"]["heat"]["class"]["label"] == "king penguin"
