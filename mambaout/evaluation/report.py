"""What was found, as data: one JSON document, and one table of every answer."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mambaout.evaluation.accuracy import Counted, Disagreement, Pair
from mambaout.evaluation.folder import LabelledFolder
from mambaout.evaluation.matching import Matching
from mambaout.evaluation.models import View
from mambaout.evaluation.picture_files import Picture
from mambaout.evaluation.records import Answer, Record
from mambaout.evaluation.run import Run

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # how one begins in some spreadsheet


@dataclass(frozen=True)
class Evaluation:
    """A finished run and what was counted in it."""

    folder: LabelledFolder
    run: Run
    limit: int
    records: Sequence[Record]
    counted: Counted

    def class_label(self, name: str) -> str:
        """A readable name for a class of the folder: a model's, where one has this very class."""
        if name not in self.folder.wordnet_numbers:
            for matching in self.run.matchings.values():
                for output in matching.outputs.get(name, ()):
                    return matching.classes.vocabulary.labels[output]
        return self.folder.names.get(name, name).split(",")[0].strip()


def as_dict(evaluation: Evaluation) -> dict[str, Any]:
    """The report, ready for JSON; equal for equal pictures, models and devices."""
    import timm
    import torch

    counted, run, folder = evaluation.counted, evaluation.run, evaluation.folder
    return {
        "data": {
            "folder": folder.name,
            "layout": folder.layout,
            "pictures": len(folder.pictures),
            "classes": len(folder.classes),
            "digest": folder.digest,
            "limit": evaluation.limit,
            "evaluated": len(run.pictures),
        },
        "models": [
            {
                "model": model.name,
                "weights_sha256": model.sha256,
                "preprocessing": model.data_config,
                "classes": len(model.classes.vocabulary),
                "left_out": list(run.matchings[model.name].left_out),
            }
            for model in run.models
        ],
        "results": [
            {
                **_view(result.view),
                **result.score.as_dict(),
                "classes": [
                    {"class": name, "label": evaluation.class_label(name), **score.as_dict()}
                    for name, score in result.classes.items()
                ],
            }
            for result in counted.results
        ],
        "not_evaluated": [
            {"model": model.name, "mixing": mixing, "why_not": reason}
            for model in run.models
            for mixing, reason in model.no_form.items()
        ],
        "agreement": [_pair(pair) for pair in counted.pairs],
        "disagreements": [_disagreement(each) for each in counted.disagreements],
        "damaged": [{"file": file, "reason": why} for file, why in counted.damaged.items()],
        "batch_size": run.batch_size,
        "device": run.device.type,
        "software": f"torch {torch.__version__}, timm {timm.__version__}",
    }


def as_csv(evaluation: Evaluation) -> str:
    """One line per picture and view, with up to five answers; one per damaged picture.

    A file or class whose name a spreadsheet would take for a formula has an apostrophe before it.
    """
    text = io.StringIO()
    answers = [f"{what}{place}" for place in range(1, 6) for what in ("answer", "confidence")]
    columns = ["file", "classes", "model", "mixing", "right1", "right5", *answers, "damaged"]
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    for record in evaluation.records:
        picture = evaluation.run.pictures[record.index]
        shown = {"file": _as_words(picture.name), "classes": _as_words(" ".join(picture.classes))}
        if record.damaged:
            table.writerow({**shown, "damaged": record.damaged})
            continue
        for result in evaluation.counted.results:
            answer = record.answers.get(str(result.view))
            if answer is not None:
                matching = evaluation.run.matchings[result.view.model]
                cells = _answer_cells(answer, matching, picture)
                table.writerow({**shown, **_view(result.view), **cells})
    return text.getvalue()


def _as_words(cell: str) -> str:
    return f"'{cell}" if cell.startswith(_FORMULA) else cell


def _answer_cells(answer: Answer, matching: Matching, picture: Picture) -> dict[str, Any]:
    targets = matching.targets(picture)
    right = frozenset[int]().union(*targets.values())
    cells: dict[str, Any] = {}
    if targets:
        cells["right1"] = int(answer.outputs[0] in right)
        cells["right5"] = int(not right.isdisjoint(answer.outputs))
    labels = matching.classes.vocabulary.labels
    for place, (output, confidence) in enumerate(
        zip(answer.outputs, answer.confidences, strict=True), start=1
    ):
        cells[f"answer{place}"] = labels[output]
        cells[f"confidence{place}"] = confidence
    return cells


def _view(view: View) -> dict[str, str]:
    return {"model": view.model, "mixing": view.mixing}


def _pair(pair: Pair) -> dict[str, Any]:
    return {
        "first": _view(pair.first),
        "second": _view(pair.second),
        "count": pair.count,
        "same_answer": pair.same_answer,
        "both_right": pair.both_right,
        "first_only": pair.first_only,
        "second_only": pair.second_only,
        "neither": pair.neither,
    }


def _disagreement(disagreement: Disagreement) -> dict[str, Any]:
    return {
        "file": disagreement.picture.name,
        "classes": list(disagreement.picture.classes),
        "answers": [
            {
                **_view(said.view),
                "key": said.key,
                "label": said.label,
                "confidence": said.confidence,
                "right": said.right,
            }
            for said in disagreement.said
        ],
    }
