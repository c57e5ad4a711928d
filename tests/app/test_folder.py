"""Many pictures: each gets its row, labels get their scores, and what is no picture its reason."""

from __future__ import annotations

import csv
import io
import json

import gradio as gr
import numpy as np
import pytest
from gradio.data_classes import FileData, ListFiles
from gradio.utils import get_upload_folder
from PIL import Image

from app.compare.request import compare
from app.folder import markup
from app.folder.files import SafeFiles, Upload, labelled, read_labels
from app.folder.request import MOST_FILES, ask_folder
from mambaout.errors import MambaOutError
from mambaout.evaluation.report import as_csv, as_dict


@pytest.fixture
def uploads(tmp_path):
    """Six pictures of coloured noise, and one file that is none."""
    generator = np.random.default_rng(3)
    found = []
    for index in range(6):
        blocks = generator.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        path = tmp_path / f"picture{index}.png"
        Image.fromarray(blocks).resize((96, 96), Image.Resampling.BILINEAR).save(path)
        found.append(Upload(path, path.name))
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    return [*found, Upload(broken, "<img src=x onerror=alert(1)>${7*7}.png")]


def finished(store, uploads, labels=None, mixing="bidirectional"):
    names = store.default_pair
    stages = list(ask_folder(store, uploads, names, mixing, labels or [""] * len(uploads)))
    answered, status = stages[-1]
    assert status == ""
    return answered


def first_answers(store, upload, mixing="bidirectional"):
    *_, (comparison, _) = compare(store, Image.open(upload.path), store.default_pair, mixing)
    return [
        (side.facts.vocabulary.labels[side.answer.top], float(side.answer.probabilities.max()))
        for side in comparison.sides
    ]


@pytest.mark.parametrize("mixing", ["bidirectional", "causal"])
def test_every_picture_is_answered_as_in_compare(store, uploads, mixing):
    answered = finished(store, uploads, mixing=mixing)
    evaluation = answered.evaluation
    assert [record.index for record in evaluation.records] == list(range(7))
    for record, upload in zip(evaluation.records[:2], uploads, strict=False):
        said = [
            (evaluation.run.matchings[view.model].classes.vocabulary.labels[answer.outputs[0]],
             answer.confidences[0])
            for view, answer in (
                (result.view, record.answers[str(result.view)])
                for result in evaluation.counted.results
            )
        ]  # fmt: skip
        for (label, share), (expected, probability) in zip(
            said, first_answers(store, upload, mixing), strict=True
        ):
            assert label == expected
            assert share == pytest.approx(probability, abs=1e-6)


def test_labels_are_scored_by_hand(store, uploads):
    """The left model's own answers as labels of four pictures, one of them wrong."""
    plain = finished(store, uploads).evaluation
    left, _right = plain.counted.results
    assert left.score.count == 0  # nothing to be right about
    labels_of = plain.run.matchings[left.view.model].classes.vocabulary.labels
    firsts = [labels_of[r.answers[str(left.view)].outputs[0]] for r in plain.records[:4]]
    wrong = next(label for label in labels_of if label != firsts[3])
    labels = [*firsts[:3], wrong, "", "", ""]
    counted = finished(store, uploads, labels).evaluation.counted
    assert (counted.results[0].score.count, counted.results[0].score.top1) == (4, 3)
    # the others are compared all the same
    assert counted.pairs[0].count == 6
    assert counted.pairs[0].same_answer == plain.counted.pairs[0].same_answer


def test_what_cannot_be_read_is_a_row_and_not_the_end(store, uploads):
    answered = finished(store, uploads)
    assert len(answered.evaluation.counted.damaged) == 1
    drawn = markup.rows(answered, only_disagreements=False)
    assert drawn.count("<button") == 6
    assert "not a picture" in drawn
    assert "<img" not in drawn
    assert "${" not in drawn


def test_only_disagreements_are_kept_when_asked(store, uploads):
    answered = finished(store, uploads)
    found = len(answered.evaluation.counted.disagreements)
    assert found > 0
    assert markup.rows(answered, only_disagreements=True).count("<button") == found


def test_an_unknown_label_is_named_and_costs_its_own_picture(store, uploads):
    labels = ["no such thing", "thing A", "", "", "", "", ""]
    answered = finished(store, uploads, labels)
    assert any("no such thing" in note for note in answered.notes)
    assert answered.evaluation.counted.results[0].score.count == 1
    assert "no such thing" in markup.summary(answered)


def test_files_tell_what_the_page_tells(store, uploads):
    evaluation = finished(store, uploads, ["thing A"] + [""] * 6).evaluation
    rows = list(csv.DictReader(io.StringIO(as_csv(evaluation))))
    assert len(rows) == 2 * 6 + 1
    assert [row["right1"] in {"0", "1"} for row in rows] == [True, True] + [False] * 11
    report = json.loads(json.dumps(as_dict(evaluation)))
    assert len(report["damaged"]) == 1
    assert all(len(model["weights_sha256"]) == 64 for model in report["models"])


def test_too_many_files_are_refused_before_any_is_read(store, uploads):
    many = uploads[:1] * (MOST_FILES + 1)
    with pytest.raises(MambaOutError, match="At most 200 pictures"):
        next(ask_folder(store, many, store.default_pair, "bidirectional", [""] * len(many)))


@pytest.mark.parametrize(
    "content",
    [
        "file,label\na.png,tabby\nb.png,n02123045\n",
        "a.png;tabby\r\nb.png;n02123045\r\n",
        "\ufeffa.png\ttabby\n\nfolder/b.png\tn02123045\nc.png\t\n",
    ],
)
def test_labels_are_read_however_they_are_separated(tmp_path, content):
    table = Upload(tmp_path / "labels.csv", "labels.csv")
    table.path.write_bytes(content.encode())
    labels = read_labels(table)
    assert labels == {"a.png": "tabby", "b.png": "n02123045"}
    uploads = [Upload(tmp_path / "x", name) for name in ("b.png", "z.png")]
    assert labelled(uploads, labels) == ["n02123045", ""]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"a.png,x\nonly one\n", "Line 2"), (b"\xff\xfe\x00", "UTF-8"), (b"a," * 2**20, "1024 kB")],
)
def test_labels_that_are_none_are_told(tmp_path, content, words):
    table = Upload(tmp_path / "labels.csv", "labels.csv")
    table.path.write_bytes(content)
    with pytest.raises(MambaOutError, match=words):
        read_labels(table)


def test_only_uploads_are_opened(tmp_path):
    files = SafeFiles(file_count="multiple")
    outside = tmp_path / "secret.png"
    outside.write_bytes(b"x")
    for path in (str(outside), "http://127.0.0.1/x.png", f"{get_upload_folder()}/../../secret"):
        with pytest.raises(gr.Error, match="from this device"):
            files.preprocess(ListFiles(root=[FileData(path=path)]))
    with pytest.raises(gr.Error, match="from this device"):
        files.move_resource_to_block_cache("http://127.0.0.1/x.png")
    inside = f"{get_upload_folder()}/abc/x.png"
    [upload] = files.preprocess(ListFiles(root=[FileData(path=inside, orig_name="../../x.png")]))
    assert (str(upload.path), upload.name) == (inside, "x.png")
