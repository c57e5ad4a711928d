"""`python -m mambaout`: what the page does, on a command line."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
import timm
from PIL import Image

from app.compare.handlers import View
from app.compare.reported import report_of
from app.compare.request import compare
from app.store import DEFAULT_PAIR, ModelStore
from mambaout.__main__ import main
from mambaout.evaluation.comparison_report import write_report


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "grâdient.png"
    Image.radial_gradient("L").convert("RGB").save(path)
    return path


def test_classify_says_what_the_model_says(picture, capsys):
    assert main(["classify", str(picture), "--json", "--count", "3"]) == 0
    found = json.loads(capsys.readouterr().out)
    model = timm.create_model("mambaout_atto.tiny_imagenet", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_data_config(model=model))
    expected = model(transform(Image.open(picture).convert("RGB"))[None])[0].softmax(0).topk(3)
    assert [*found["classes"].values()] == expected.values.tolist()
    assert main(["classify", str(picture)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5


def test_compare_writes_a_report_that_is_the_same_for_the_same(picture, tmp_path, capsys):
    command = ["compare", str(picture), "--mixing", "causal"]
    for name in ("one.zip", "other.zip"):
        assert main([*command, "--out", str(tmp_path / name)]) == 0
    assert "vim_atto.tiny_imagenet (causal)" in capsys.readouterr().out
    data = (tmp_path / "one.zip").read_bytes()
    assert data == (tmp_path / "other.zip").read_bytes()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        report = json.loads(archive.read("report.json"))
        maps = {name: archive.read(name) for name in archive.namelist() if name.endswith(".png")}
    assert {*report["answers"]} == {"left", "right"}
    assert report["answers"]["right"]["mixing"] == "causal"
    assert maps == maps_on_the_page(Image.open(picture).convert("RGB"))


def maps_on_the_page(picture):
    """The heat maps of the report that the page makes of the same question, by file name."""
    *_, (found, _) = compare(ModelStore("cpu"), picture, DEFAULT_PAIR, "causal")
    assert all(side.heat.values.any() for side in found.sides)
    with zipfile.ZipFile(io.BytesIO(write_report(report_of(found, View())))) as archive:
        return {name: archive.read(name) for name in ("overlay_left.png", "overlay_right.png")}


def test_token_reads_look_back_only_where_causal(picture, capsys):
    for mixing in ("bidirectional", "causal"):
        command = ["token-reads", str(picture), "--measure", "scan", "--mixing", mixing, "--json"]
        assert main(command) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["share_after"] == 0) == (mixing == "causal")
        assert len(found["values"]) == 16


def test_models_lists_the_miniatures(capsys):
    assert main(["models"]) == 0
    assert "vim_atto.tiny_imagenet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["classify", "{folder}/missing.png"], "cannot be read"),
        (["classify", "{folder}/text.png"], "not a picture"),
        (["classify", "{picture}", "--model", "resnet999"], "resnet999"),
        (["compare", "{picture}", "--out", "{folder}/text.png/report.zip"], "text.png"),
        (["token-reads", "{picture}", "--row", "99", "--measure", "scan"], "16 rows"),
    ],
)
def test_what_cannot_be_done_ends_in_a_sentence(arguments, words, picture, tmp_path, capsys):
    (tmp_path / "text.png").write_text("This is text, whatever its name says.")
    arguments = [a.format(folder=tmp_path, picture=picture) for a in arguments]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert words in said


def test_a_command_that_makes_no_sense_is_explained(picture, capsys):
    for arguments in ([], ["classify"], ["classify", str(picture), "--count", "0"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "expected a number from 1" in capsys.readouterr().err
