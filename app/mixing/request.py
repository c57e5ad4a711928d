"""One request: models in every mixing that they have, on one picture, stage by stage.

What comes out are arrays and facts, as in `app.compare.request`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from PIL import Image

from app import text
from app.compare.request import timed
from app.compare.result import Facts
from app.language import tr
from app.loading import loading
from app.mixing import text as words
from app.store import LoadedModel, ModelStore
from mambaout.catalogue.bundled import causal_twin
from mambaout.catalogue.mixing import Mixing
from mambaout.errors import MambaOutError, said_by
from mambaout.evaluation.comparison import with_heat
from mambaout.evaluation.comparison_report import PictureFacts
from mambaout.evaluation.said import Answered

if TYPE_CHECKING:
    import torch

Kind = Literal["bidirectional", "causal", "paths", "trained"]
_MIXING: dict[Kind, Mixing] = {
    "bidirectional": "bidirectional",
    "causal": "causal",
    "paths": "bidirectional",
    "trained": "causal",
}


@dataclass(frozen=True, eq=False)
class Variant:
    """One answer of a model: in a mixing, with some paths only, or of its causally trained twin."""

    answered: Answered
    image: np.ndarray  # (1, 3, side, side): exactly what was given
    seconds: float  # one forward pass, the faster of two
    facts: Facts


@dataclass(frozen=True, eq=False)
class Subject:
    """One model and all its answers, as far as they are known."""

    side: str  # "left" or "right", where it was chosen
    name: str
    title: str
    error: str = ""  # why there is no answer at all
    facts: Facts | None = None
    seen: Image.Image | None = None  # the part of the picture that it sees
    variants: Mapping[Kind, Variant] = field(default_factory=dict)
    why_not: Mapping[Kind, str] = field(default_factory=dict)
    known_paths: tuple[str, ...] = ()
    explained: int | None = None  # class of all its heat maps

    def with_variant(self, kind: Kind, variant: Variant) -> Subject:
        """The same with one more answer."""
        return replace(self, variants={**self.variants, kind: variant})

    def without(self, kind: Kind, reason: str) -> Subject:
        """The same without one of its answers, and with the reason why; "" for none."""
        variants = {k: variant for k, variant in self.variants.items() if k != kind}
        return replace(self, variants=variants, why_not={**self.why_not, kind: reason})


@dataclass(frozen=True, eq=False)
class Mixed:
    """What is known of every model that was asked about."""

    picture: PictureFacts
    subjects: tuple[Subject, ...]

    def subject(self, side: str) -> Subject | None:
        """The model that was chosen on this side, if it was asked about."""
        return next((subject for subject in self.subjects if subject.side == side), None)

    def with_subject(self, subject: Subject) -> Mixed:
        """The same with one model's part replaced."""
        subjects = (subject if old.side == subject.side else old for old in self.subjects)
        return replace(self, subjects=tuple(subjects))


Stage = tuple[Mixed, str]  # what is known by now, and what is being done; "" at the end


def mix(
    store: ModelStore,
    picture: Image.Image,
    chosen: Mapping[str, str],
    paths: Mapping[str, Sequence[str]],
) -> Iterator[Stage]:
    """Ask models in all their mixings, then explain every answer, yielding after every step.

    Args:
        store: the models.
        picture: what they are asked about.
        chosen: names of models, by the side they are chosen on.
        paths: by side, the scan paths that may run alone; those a model does not have are left out.
    """
    subjects = tuple(Subject(side, name, store.card(name).title) for side, name in chosen.items())
    result = Mixed(PictureFacts.of(picture), subjects)
    yield result, tr(text.WORKING)
    for subject in subjects:
        for known, status in _asked(store, picture, subject, paths.get(subject.side, ())):
            result = result.with_subject(known)
            yield result, status
    for subject in result.subjects:
        yield result, words.explaining(subject.title)
        result = result.with_subject(_explained(store, subject, None))
    yield result, ""


def choose_paths(
    store: ModelStore, mixed: Mixed, side: str, paths: Sequence[str]
) -> Iterator[Stage]:
    """Answer again with other scan paths left alone; nothing else changes."""
    import torch

    subject = mixed.subject(side)
    whole = subject.variants.get("bidirectional") if subject else None
    if subject is None or whole is None:
        yield mixed, ""
        return
    for model, status in loading(store, subject.name, subject.title):
        yield mixed, status
        if model is not None:
            changed = _with_paths(subject, model, torch.from_numpy(whole.image), paths)
            changed = _explained(store, changed, subject.explained, only="paths")
            yield mixed.with_subject(changed), ""


def explain_class(store: ModelStore, mixed: Mixed, side: str, class_index: int) -> Iterator[Stage]:
    """Draw all heat maps of one model for another class."""
    subject = mixed.subject(side)
    facts = subject.facts if subject else None
    if subject is None or facts is None or not 0 <= class_index < len(facts.vocabulary):
        raise MambaOutError(tr("There is no such class to explain: choose one from the table."))
    yield mixed, words.explaining(subject.title)
    yield mixed.with_subject(_explained(store, subject, class_index)), ""


def _asked(
    store: ModelStore, picture: Image.Image, subject: Subject, paths: Sequence[str]
) -> Iterator[tuple[Subject, str]]:
    """One model's answers: in both mixings, by some paths, and its twin's."""
    try:
        for model, status in loading(store, subject.name, subject.title):
            yield subject, status
            if model is not None:
                subject = _both_mixings(subject, model, picture)
                subject = _with_paths(subject, model, model.input_of(picture), paths)
    except MambaOutError as error:
        yield replace(subject, error=said_by(error)), tr(text.WORKING)
        return
    yield subject, tr(text.WORKING)
    twin = causal_twin(subject.name)
    if twin is None:
        return
    try:
        for model, status in loading(store, twin, store.card(twin).title):
            yield subject, status
            if model is not None:
                variant = _asked_once(subject, "trained", model, model.input_of(picture))
                subject = subject.with_variant("trained", variant)
    except MambaOutError as error:
        subject = subject.without("trained", said_by(error))
    yield subject, tr(text.WORKING)


def _both_mixings(subject: Subject, model: LoadedModel, picture: Image.Image) -> Subject:
    seen = model.framing.seen(picture)
    subject = replace(subject, facts=Facts.of(model), seen=seen)
    kinds: list[Kind] = ["bidirectional", "causal"]
    try:
        model.view("causal")
    except TypeError as reason:
        subject = subject.without("causal", said_by(reason))
        kinds.remove("causal")
    image = model.input_of(picture)
    # Each twice, in turns: what happens once (a scan compiled, a cache filled) is in no time told.
    for kind in [*kinds, *kinds]:
        variant, earlier = _asked_once(subject, kind, model, image), subject.variants.get(kind)
        if earlier is not None:
            variant = replace(earlier, seconds=min(variant.seconds, earlier.seconds))
        subject = subject.with_variant(kind, variant)
    return subject


def _with_paths(
    subject: Subject, model: LoadedModel, image: torch.Tensor, paths: Sequence[str]
) -> Subject:
    """The subject with the answer of the chosen paths alone, where there is a choice."""
    from mambaout.models import scan_paths, why_paths_are_fixed

    whole = model.view("bidirectional")
    known = scan_paths(whole)
    subject = replace(subject.without("paths", why_paths_are_fixed(whole) or ""), known_paths=known)
    chosen = tuple(path for path in known if path in paths)
    if not chosen:
        return subject
    variant = _asked_once(subject, "paths", model, image, chosen)
    return subject.with_variant("paths", variant)


def _asked_once(
    subject: Subject,
    kind: Kind,
    model: LoadedModel,
    image: torch.Tensor,
    paths: tuple[str, ...] = (),
) -> Variant:
    image = image.to(model.device)
    said, seconds = timed(model, _view(model, kind, paths), image)
    answered = Answered(f"{subject.side}_{kind}", model.card.name, _MIXING[kind], said, paths)
    return Variant(answered, image.numpy(force=True), seconds, Facts.of(model))


def _view(model: LoadedModel, kind: Kind, paths: tuple[str, ...]) -> torch.nn.Module:
    """The modules that give this kind of answer."""
    from mambaout.models import with_paths

    view = model.view(_MIXING[kind])
    return with_paths(view, paths) if paths else view


def _explained(
    store: ModelStore, subject: Subject, class_index: int | None, only: Kind | None = None
) -> Subject:
    """The subject with heat maps for a class, of the bidirectional answer's first if it is None."""
    import torch

    whole = subject.variants.get("bidirectional")
    if whole is None:
        return subject
    class_index = whole.answered.said.top if class_index is None else class_index
    subject = replace(subject, explained=class_index)
    key = whole.facts.vocabulary.keys[class_index]
    for kind, variant in subject.variants.items():
        if only in {None, kind}:
            model = store.get(variant.answered.name)
            answered = with_heat(
                variant.answered,
                _view(model, kind, variant.answered.paths),
                torch.from_numpy(variant.image).to(model.device),
                variant.facts.vocabulary.positions[key],  # a twin has the same classes
            )
            subject = subject.with_variant(kind, replace(variant, answered=answered))
    return subject
