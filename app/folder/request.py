"""Both models on many pictures: read one by one, answered, counted as they are."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.folder import text
from app.folder.files import Upload
from app.loading import loading
from app.store import LoadedModel as HeldModel
from app.store import ModelStore
from mambaout.catalogue.hashing import file_sha256
from mambaout.catalogue.mixing import Mixing
from mambaout.errors import MambaOutError, said_by
from mambaout.evaluation.accuracy import count
from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.folder import LabelledFolder
from mambaout.evaluation.matching import Matching, ModelClasses, match
from mambaout.evaluation.models import LoadedModel, View, views_of
from mambaout.evaluation.picture_files import Picture
from mambaout.evaluation.records import Record
from mambaout.evaluation.report import Evaluation
from mambaout.evaluation.run import Run, first_five
from mambaout.pictures import read_picture
from mambaout.pictures.errors import Rejected

MOST_FILES = 200
_TELL_SECONDS = 0.4  # between two updates of the page


@dataclass(frozen=True, eq=False)
class Answered:
    """What is known by now.

    Attributes:
        evaluation: the pictures answered so far, counted.
        titles: of the models, by name.
        total: how many pictures there are.
        notes: what there is to say about the models and labels.
    """

    evaluation: Evaluation
    titles: dict[str, str]
    total: int
    notes: tuple[str, ...]


Stage = tuple[Answered | None, str]


def ask_folder(
    store: ModelStore,
    uploads: Sequence[Upload],
    names: Sequence[str],
    mixing: Mixing,
    labels: Sequence[str],
) -> Iterator[Stage]:
    """Ask the models about every upload and yield several times a second.

    Args:
        store: of models.
        uploads: at most `MOST_FILES`.
        names: of the models; one that cannot be had is left out, with a note.
        mixing: one that has no causal form stays as it is, with a note.
        labels: one per upload, empty where there is none.

    Raises:
        MambaOutError: there are too many files, or no model can be had.
    """
    import torch

    if len(uploads) > MOST_FILES:
        raise MambaOutError(text.too_many(MOST_FILES, len(uploads)))
    models: dict[str, HeldModel] = {}
    notes: list[str] = []
    for name in dict.fromkeys(names):
        title = store.card(name).title
        try:
            for model, status in loading(store, name, title):
                yield None, status
                if model is not None:
                    models[name] = model
        except MambaOutError as error:
            notes.append(text.no_answer(title, said_by(error)))
    if not models:
        raise MambaOutError(" ".join(notes))
    titles = {name: model.card.title for name, model in models.items()}
    asked = [_as_evaluated(model, mixing, notes) for model in models.values()]
    folder = _folder(uploads, labels)
    matchings = {model.name: _matching(model, folder, titles, notes) for model in asked}
    run = Run(folder.pictures, asked, (mixing,), matchings, 1, torch.device(store.device))
    records: list[Record] = []
    begun = told = time.perf_counter()
    for index, upload in enumerate(uploads):
        records.append(_record(index, upload, run))
        now = time.perf_counter()
        if now - told > _TELL_SECONDS:
            told = now
            left = (now - begun) / (index + 1) * (len(uploads) - index - 1)
            line = text.progress(index + 1, len(uploads), left)
            yield _counted(folder, run, records, titles, notes), line
    yield _counted(folder, run, records, titles, notes), ""


def _as_evaluated(model: HeldModel, mixing: Mixing, notes: list[str]) -> LoadedModel:
    """The store's model as evaluation knows models."""
    from timm.data import resolve_data_config

    from mambaout.models import fetch_weights

    name = model.card.name
    no_form: dict[Mixing, str] = {}
    try:
        views = {mixing: model.view(mixing)}
    except TypeError as reason:
        no_form[mixing] = said_by(reason)
        notes.append(text.stays(model.card.title, said_by(reason)))
        views = {"bidirectional": model.model}
    return LoadedModel(
        name=name,
        classes=ModelClasses(name, model.vocabulary, _descriptions(model)),
        views=views,
        no_form=no_form,
        data_config=resolve_data_config(model=model.model),
        transform=model.transform,
        sha256=file_sha256(fetch_weights(name)),
    )


def _descriptions(model: HeldModel) -> tuple[str, ...]:
    from mambaout.models import class_labels

    found = tuple(class_labels(model.card.name))
    return found if len(found) == len(model.vocabulary) else tuple(model.vocabulary.labels)


def _folder(uploads: Sequence[Upload], labels: Sequence[str]) -> LabelledFolder:
    """The uploads as a folder: named by the visitor, labelled where a table says so."""
    pictures = tuple(
        Picture((label,) if label else (), upload.path, None, upload.name, upload.name)
        for upload, label in zip(uploads, labels, strict=True)
    )
    lines = "\n".join(f"{p.name} {' '.join(p.classes)}" for p in pictures)
    return LabelledFolder(
        name="uploads",
        layout="pictures with a table of labels" if any(labels) else "pictures without labels",
        pictures=pictures,
        classes=tuple(sorted({name for picture in pictures for name in picture.classes})),
        names={},
        wordnet_numbers={},
        digest=hashlib.sha256(lines.encode()).hexdigest(),
    )


def _matching(
    model: LoadedModel, folder: LabelledFolder, titles: dict[str, str], notes: list[str]
) -> Matching:
    """The labels among the model's classes; one that it does not have costs its own pictures."""
    outputs: dict[str, frozenset[int]] = {}
    unknown: list[str] = []
    for name in folder.classes:
        alone = LabelledFolder(**{**_fields(folder), "classes": (name,)})
        try:
            outputs.update(match(alone, [model.classes])[model.name].outputs)
        except EvaluationError:
            unknown.append(name)
    if unknown:
        notes.append(text.unknown_labels(titles[model.name], unknown))
    return Matching(model.classes, outputs, tuple(unknown))


def _fields(folder: LabelledFolder) -> dict[str, Any]:
    return {name: getattr(folder, name) for name in LabelledFolder.__dataclass_fields__}


def _record(index: int, upload: Upload, run: Run) -> Record:
    """What the models say to one file, or why it is no picture."""
    try:
        image = read_picture(upload.path).image
    except Rejected as rejected:
        return Record(index, upload.name, damaged=rejected.sentence)
    answers = {}
    for model in run.models:
        tensor = model.transform(image).unsqueeze(0).to(run.device)
        for mixing, view in model.views.items():
            name = View(model.name, mixing)
            [answers[str(name)]] = first_five(view, tensor, name)
    return Record(index, upload.name, answers)


def _counted(
    folder: LabelledFolder,
    run: Run,
    records: Sequence[Record],
    titles: dict[str, str],
    notes: Sequence[str],
) -> Answered:
    counted = count(folder.pictures, records, views_of(run.models), run.matchings)
    evaluation = Evaluation(folder, run, 0, tuple(records), counted)
    return Answered(evaluation, titles, len(folder.pictures), tuple(notes))
