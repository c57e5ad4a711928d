from __future__ import annotations

import pytest

from mambaout.training.classes import EVERYDAY, choose_classes
from mambaout.training.config import TrainingError


def test_everyday_is_24_classes_told_apart_by_folder_and_by_label():
    assert len(EVERYDAY) == len({wnid for wnid, _ in EVERYDAY}) == 24
    assert len({label for _, label in EVERYDAY}) == 24
    assert choose_classes("everyday", [wnid for wnid, _ in EVERYDAY], {}) == EVERYDAY


def test_all_is_in_order_of_folders_with_the_first_name_of_each():
    names = {"n2": "lion, king of beasts, Panthera leo"}
    assert choose_classes("all", ["n2", "n1"], names) == (("n1", "n1"), ("n2", "lion"))


def test_a_file_gives_classes_in_its_own_order(tmp_path):
    path = tmp_path / "chosen.txt"
    path.write_text("n2\tbig cat\n\nn1\n", encoding="utf-8")
    chosen = choose_classes(str(path), ["n1", "n2", "n3"], {"n1": "goldfish, Carassius auratus"})
    assert chosen == (("n2", "big cat"), ("n1", "goldfish"))


def test_classes_without_pictures_are_named():
    with pytest.raises(TrainingError, match=r"24 class folders, 23 of them are not.*n01882714"):
        choose_classes("everyday", ["n01443537"], {})


def test_what_is_neither_a_word_nor_a_file_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="must be everyday, all or a text file"):
        choose_classes(str(tmp_path / "none.txt"), ["n1"], {})


@pytest.mark.parametrize(("text", "message"), [("n1\nn1\n", "twice"), ("n1\n", "at least 2")])
def test_a_file_that_names_no_choice_is_refused(tmp_path, text, message):
    path = tmp_path / "chosen.txt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TrainingError, match=message):
        choose_classes(str(path), ["n1"], {})
