from __future__ import annotations

import pytest
import torch
from torch import nn

from mambaout.evaluation import run as running
from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.models import View
from mambaout.evaluation.picture_files import Picture
from mambaout.evaluation.records import Record, Recorder
from mambaout.evaluation.run import Run, all_records

VIEW = View("model", "causal")


class Answers(nn.Module):
    """Whatever it is shown, the logits it was made with."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images):
        return self.logits.expand(len(images), -1)


@pytest.fixture
def two_pictures(tmp_path):
    pictures = [Picture(("lion",), tmp_path / name, None, name, name) for name in "ab"]
    return Run(pictures, [], [], {}, 1, torch.device("cpu"))


def test_answers_are_probabilities_the_likeliest_first():
    (answer,) = running.first_five(Answers(0.0, 2.0, 1.0), torch.zeros(1, 3, 2, 2), VIEW)
    assert answer.outputs == (1, 2, 0)
    assert answer.confidences == pytest.approx((0.665241, 0.244728, 0.090031), abs=1e-6)


def test_no_number_is_no_answer():
    with pytest.raises(EvaluationError, match="model causal answers with numbers that are not"):
        running.first_five(Answers(0.0, float("nan")), torch.zeros(1, 3, 2, 2), VIEW)


def test_every_batch_belongs_to_one_process(two_pictures):
    assert two_pictures.batches() == [range(1), range(1, 2)]
    wide = Run(two_pictures.pictures * 5, [], [], {}, 4, torch.device("cpu"))
    assert [index for batch in wide.batches() for index in batch] == list(range(10))


def test_what_others_write_is_waited_for(two_pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_POLL_SECONDS", 0)
    told = []

    def then_write(missing):
        told.append(missing)
        index = 2 - missing
        with Recorder(tmp_path, index) as recorder:
            recorder.append([Record(index, "ab"[index], damaged="no picture")])

    assert [record.file for record in all_records(two_pictures, tmp_path, then_write)] == ["a", "b"]
    assert told == [2, 1]


def test_others_that_write_no_more_are_given_up(two_pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(running, "_PATIENCE_SECONDS", 0.02)
    with pytest.raises(EvaluationError, match="2 pictures are missing"):
        all_records(two_pictures, tmp_path, lambda _: None)
