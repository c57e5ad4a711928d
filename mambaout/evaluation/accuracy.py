"""From answers to counts: how often each view is right, and where views differ."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from mambaout.evaluation.interval import wilson_interval
from mambaout.evaluation.matching import Matching
from mambaout.evaluation.models import View
from mambaout.evaluation.picture_files import Picture
from mambaout.evaluation.records import Answer, Record


@dataclass
class Score:
    """Right answers of ``count`` pictures: the first one right, one of the first five right."""

    count: int = 0
    top1: int = 0
    top5: int = 0

    def add(self, answer: Answer, right: frozenset[int]) -> None:
        """Count one picture, to which the outputs ``right`` are right answers."""
        self.count += 1
        self.top1 += answer.outputs[0] in right
        self.top5 += not right.isdisjoint(answer.outputs)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON, with shares and their 95 % intervals; None where there is no picture."""
        return {"count": self.count} | {
            name: {
                "right": hits,
                "share": hits / self.count if self.count else None,
                "interval": wilson_interval(hits, self.count) if self.count else None,
            }
            for name, hits in (("top1", self.top1), ("top5", self.top5))
        }


@dataclass(frozen=True)
class Result:
    """How often a view is right.

    Attributes:
        score: of all pictures. Where a picture shows several classes, any of them is right.
        classes: class of the folder -> score of the pictures that show it, to which only that class
            is right.
    """

    view: View
    score: Score
    classes: Mapping[str, Score]


@dataclass(frozen=True)
class Pair:
    """Two views on the pictures that both were asked about, counted."""

    first: View
    second: View
    count: int
    same_answer: int
    both_right: int
    first_only: int
    second_only: int
    neither: int


@dataclass(frozen=True)
class Said:
    """A view's first answer to a picture."""

    view: View
    key: str  # equal for the same class of two models
    label: str
    confidence: float
    right: bool


@dataclass(frozen=True)
class Disagreement:
    """A picture to which views give different first answers."""

    picture: Picture
    said: tuple[Said, ...]

    @property
    def strength(self) -> float:
        """How sure the two surest views with different answers are: the lesser confidence."""
        surest: dict[str, float] = {}
        for said in self.said:
            surest[said.key] = max(said.confidence, surest.get(said.key, 0.0))
        return sorted(surest.values())[-2]


@dataclass(frozen=True)
class Counted:
    """All that the answers to a folder say.

    Attributes:
        damaged: file -> why it could not be read.
    """

    results: tuple[Result, ...]
    pairs: tuple[Pair, ...]
    disagreements: tuple[Disagreement, ...]
    damaged: Mapping[str, str]


def count(
    pictures: Sequence[Picture],
    records: Iterable[Record],
    views: Sequence[View],
    matchings: Mapping[str, Matching],
) -> Counted:
    """Count the answers to ``pictures``: all where views are compared, else those with a class.

    Args:
        pictures: of the run, in its order.
        records: one per picture.
        views: in the order of the results.
        matchings: by model.
    """
    scores = {view: Score() for view in views}
    classes: dict[View, dict[str, Score]] = {
        view: {name: Score() for name in matchings[view.model].outputs} for view in views
    }
    pairs = {pair: [0, 0, 0, 0, 0] for pair in combinations(views, 2)}
    disagreements: list[Disagreement] = []
    damaged: dict[str, str] = {}
    for record in sorted(records, key=lambda record: record.index):
        picture = pictures[record.index]
        if record.damaged:
            damaged[record.file] = record.damaged
            continue
        said: list[Said] = []
        for view in views:
            answer = record.answers.get(str(view))
            if answer is None:
                continue
            targets = matchings[view.model].targets(picture)
            if targets:
                scores[view].add(answer, frozenset[int]().union(*targets.values()))
            for name, right in targets.items():
                classes[view][name].add(answer, right)
            said.append(_said(view, answer, matchings[view.model], targets.values()))
        for one, other in combinations(said, 2):
            tally = pairs[one.view, other.view]
            tally[0] += one.key == other.key
            tally[1 + 2 * (not one.right) + (not other.right)] += 1
        if len({each.key for each in said}) > 1:
            disagreements.append(Disagreement(picture, tuple(said)))
    return Counted(
        results=tuple(Result(view, scores[view], classes[view]) for view in views),
        pairs=tuple(
            Pair(*views_of_pair, sum(tally[1:]), *tally) for views_of_pair, tally in pairs.items()
        ),
        disagreements=tuple(disagreements),
        damaged=damaged,
    )


def _said(
    view: View, answer: Answer, matching: Matching, targets: Iterable[frozenset[int]]
) -> Said:
    first = answer.outputs[0]
    vocabulary = matching.classes.vocabulary
    return Said(
        view=view,
        key=vocabulary.keys[first],
        label=vocabulary.labels[first],
        confidence=answer.confidences[0],
        right=any(first in right for right in targets),
    )
