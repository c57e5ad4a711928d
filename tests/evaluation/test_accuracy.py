from __future__ import annotations

from pathlib import Path

import pytest

from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.evaluation.accuracy import count
from mambaout.evaluation.interval import wilson_interval
from mambaout.evaluation.matching import Matching, ModelClasses
from mambaout.evaluation.models import View
from mambaout.evaluation.picture_files import Picture
from mambaout.evaluation.records import Answer, Record

ANIMALS = ("ant", "bee", "cat", "dog", "emu", "fox", "gnu")
WIDE, NARROW = View("wide", "bidirectional"), View("narrow", "causal")


def matching(model, names, known):
    """A folder's classes, each right by the output of its name."""
    vocabulary = Vocabulary(tuple(name.title() for name in names), tuple(names))
    outputs = {name: frozenset({names.index(name)}) for name in known}
    return Matching(ModelClasses(model, vocabulary, vocabulary.labels), outputs, ())


MATCHINGS = {
    "wide": matching("wide", ANIMALS, ("ant", "bee", "cat")),
    "narrow": matching("narrow", ("cat", "ant"), ("ant", "cat")),
}


def picture(name, *classes):
    return Picture(classes, Path(name), None, name, name)


def answers(index, name, wide, narrow=None):
    given = {str(WIDE): Answer(tuple(map(ANIMALS.index, wide)), (0.5, 0.2, 0.1, 0.1, 0.1))}
    if narrow is not None:
        given[str(NARROW)] = Answer(narrow, (0.9, 0.1))
    return Record(index, name, given)


PICTURES = [
    picture("0", "ant"),
    picture("1", "ant"),
    picture("2", "bee"),
    picture("3", "cat", "ant"),
    picture("4", "cat"),
    picture("5", "cat"),
]
RECORDS = [
    answers(5, "5", ["gnu", "fox", "emu", "dog", "ant"], (0, 1)),
    answers(0, "0", ["ant", "bee", "cat", "dog", "emu"], (1, 0)),
    answers(1, "1", ["bee", "ant", "cat", "dog", "emu"], (1, 0)),
    answers(2, "2", ["fox", "ant", "cat", "dog", "emu"]),
    answers(3, "3", ["ant", "bee", "fox", "dog", "emu"], (0, 1)),
    Record(4, "4", damaged="no picture"),
]


@pytest.fixture
def counted():
    return count(PICTURES, RECORDS, [WIDE, NARROW], MATCHINGS)


def scores(result):
    by_class = {name: (s.count, s.top1, s.top5) for name, s in result.classes.items()}
    return (result.score.count, result.score.top1, result.score.top5), by_class


def test_right_answers_are_counted_by_hand(counted):
    wide, narrow = map(scores, counted.results)
    assert wide == ((5, 2, 3), {"ant": (3, 2, 3), "bee": (1, 0, 0), "cat": (2, 0, 0)})
    assert narrow == ((4, 4, 4), {"ant": (3, 2, 3), "cat": (2, 2, 2)})


def test_pairs_are_counted_on_the_pictures_both_were_asked_about(counted):
    (pair,) = counted.pairs
    assert (pair.first, pair.second) == (WIDE, NARROW)
    # 0 both ant; 1 bee and ant; 3 ant and cat, which the picture shows too; 5 gnu and cat
    assert (pair.count, pair.same_answer) == (4, 1)
    assert (pair.both_right, pair.first_only, pair.second_only, pair.neither) == (2, 0, 2, 0)


def test_disagreements_are_by_what_is_meant_and_not_by_output(counted):
    assert [each.picture.name for each in counted.disagreements] == ["1", "3", "5"]
    first = counted.disagreements[0]
    assert [(s.view, s.label, s.confidence, s.right) for s in first.said] == [
        (WIDE, "Bee", 0.5, False),
        (NARROW, "Ant", 0.9, True),
    ]
    assert first.strength == 0.5


def test_damaged_pictures_are_named_and_not_counted(counted):
    assert counted.damaged == {"4": "no picture"}


def test_shares_come_with_their_intervals(counted):
    shown = counted.results[0].score.as_dict()
    assert shown["top1"] == {"right": 2, "share": 0.4, "interval": wilson_interval(2, 5)}
    nothing = count([], [], [WIDE], MATCHINGS).results[0].score.as_dict()
    assert nothing["top5"] == {"right": 0, "share": None, "interval": None}
