"""What a link asks for of the heat maps is in the first answer, or a sentence says why not."""

from __future__ import annotations

import pytest

from app.compare.handlers import View, ask_both
from app.compare.wanted import NOTHING, Wanted, class_key, layer_number
from app.store import DEFAULT_PAIR


def last(store, picture, wanted, method="finercam"):
    view = View()
    *_, values = ask_both(store, picture, DEFAULT_PAIR, "bidirectional", method, view, (), wanted)
    return values


@pytest.fixture(scope="module")
def plain(store, picture):
    return last(store, picture, NOTHING)


def test_nothing_wanted_is_nothing_chosen(plain):
    found = plain["result"]
    assert [side.explained for side in found.sides] == [side.answer.top for side in found.sides]
    assert plain["class_key"] == plain["left_depth_key"] == plain["right_depth_key"] == ""
    assert plain["rival"].value == ""
    assert plain["status"].endswith("s.")


def test_class_rival_and_layer_are_those_of_the_link(store, picture, plain):
    tops = {side.answer.top for side in plain["result"].sides}
    chosen, rival = [index for index in range(24) if index not in tops][:2]
    keys = plain["result"].sides[0].facts.vocabulary.keys
    values = last(store, picture, Wanted(keys[chosen], keys[rival], (2, None)))
    found = values["result"]
    assert [side.explained for side in found.sides] == [chosen, chosen]
    assert [side.heat.versus for side in found.sides] == [rival, rival]
    assert values["class_key"] == keys[chosen]
    assert found.rival_key == keys[rival]
    left, right = (side.facts.layers for side in found.sides)
    assert [side.heat.layer for side in found.sides] == [
        left[1],
        plain["result"].sides[1].heat.layer,
    ]
    assert values["left_depth"].value == 2
    assert (values["left_depth_key"], values["right_depth_key"]) == ("2", "")
    assert plain["left_depth"].value != 2
    assert len(right) > 2


def test_what_no_model_has_is_left_out_with_a_sentence(store, picture, plain):
    values = last(store, picture, Wanted("n00000000", "n00000001", (150, 8)))
    sides = values["result"].sides
    assert [side.explained for side in sides] == [side.answer.top for side in sides]
    assert values["class_key"] == ""
    assert values["left_depth"].value == plain["left_depth"].value
    assert values["right_depth"].value == 8
    status = values["status"]
    assert "Neither model knows the class that the link asks to explain." in status
    assert "Neither model knows the class that the link sets against it." in status
    assert "MambaOut-Atto has no layer 150" in status
    assert "Vim-Atto has no layer" not in status


@pytest.mark.parametrize(
    ("read", "words", "means"),
    [
        (class_key, "n01443537", "n01443537"),
        (class_key, "Egyptian cat", "Egyptian cat"),
        (class_key, "", None),
        (class_key, "<b>", None),
        (class_key, "n" * 101, None),
        (class_key, "cat\n", None),
        (layer_number, "3", 3),
        (layer_number, "0", None),
        (layer_number, "201", None),
    ],
)
def test_what_a_link_may_ask_for(read, words, means):
    assert read(words) == means
