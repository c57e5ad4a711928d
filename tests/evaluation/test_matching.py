from __future__ import annotations

import pytest

from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.folder import LabelledFolder
from mambaout.evaluation.matching import ModelClasses, match
from mambaout.evaluation.voc import voc_wordnet_numbers
from mambaout.models.labels import class_labels
from mambaout.models.vocabulary import vocabulary_of

from .conftest import MAMBAOUT, RESNET


def folder(*classes, names=None, numbers=None):
    return LabelledFolder("data", "", (), tuple(sorted(classes)), names or {}, numbers or {}, "")


def known(name):
    return ModelClasses(name, vocabulary_of(name), tuple(class_labels(name)))


def outputs(labelled, name, *others):
    matching = match(labelled, [known(each) for each in (name, *others)])[name]
    return {cls: sorted(right) for cls, right in matching.outputs.items()}, matching.left_out


@pytest.mark.parametrize(
    "spelling", ["n02099601", "n02099601-golden_retriever", "Golden_Retriever", "golden  retriever"]
)
def test_a_class_is_found_by_number_or_name_however_written(spelling):
    assert outputs(folder(spelling), MAMBAOUT) == ({spelling: [4]}, ())
    assert outputs(folder(spelling), RESNET) == ({spelling: [207]}, ())


def test_synonyms_and_the_data_sets_own_names_are_read():
    assert outputs(folder("Tinca tinca"), RESNET)[0] == {"Tinca tinca": [0]}
    labelled = folder("class_7", "lion", names={"class_7": "a fish, goldfish"})
    assert outputs(labelled, MAMBAOUT)[0] == {"class_7": [0], "lion": [6]}


def test_a_misspelt_class_is_an_error_with_names_near_it():
    with pytest.raises(EvaluationError, match=r"'goldfisch' \(nearest: goldfish") as error:
        match(folder("goldfisch", "retriever", "zzz", "lion"), [known(MAMBAOUT)])
    assert "'retriever' (nearest: golden retriever" in str(error.value)
    assert "'zzz' (nothing is near)" in str(error.value)
    assert str(error.value).startswith("3 of the folder's classes are none of")


def test_classes_of_imagenet_that_a_model_does_not_have_are_left_out():
    labelled = folder("lion", "n02391049", "warthog")
    assert outputs(labelled, MAMBAOUT) == ({"lion": [6]}, ("n02391049", "warthog"))


def test_classes_of_another_model_are_no_misspellings():
    labelled = folder("lion", "teddy bear", "tabby cat")
    assert outputs(labelled, RESNET, MAMBAOUT)[0].keys() >= {"lion", "tabby cat"}


def test_of_more_classes_than_the_model_has_the_others_are_left_out():
    strange = [f"thing {letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    found, left_out = outputs(folder("lion", *strange), MAMBAOUT)
    assert (found, list(left_out)) == ({"lion": [6]}, strange)


def test_a_name_of_two_classes_asks_for_the_number():
    with pytest.raises(EvaluationError, match=r"n02012849 .* or n03126707 .*by the number"):
        match(folder("crane"), [known(RESNET)])


def test_a_folder_that_a_model_knows_nothing_of_is_an_error():
    with pytest.raises(EvaluationError, match="none of the 1 classes of data"):
        match(folder("n02391049"), [known(MAMBAOUT)])


def test_voc_is_matched_by_kinds_and_not_by_names():
    labelled = folder("cat", "dog", "horse", "person", numbers=voc_wordnet_numbers())
    found, left_out = outputs(labelled, RESNET)
    assert found == {"cat": [281, 282, 283, 284, 285], "dog": [*range(151, 269)], "horse": [339]}
    assert left_out == ("person",)
    assert outputs(labelled, MAMBAOUT) == ({"cat": [5], "dog": [4]}, ("horse", "person"))
