"""Words with values in them."""

from __future__ import annotations

import pytest

from app.language import tr


def test_values_are_put_in_their_places():
    assert tr("{done} of {total}", total=5, done=3) == "3 of 5"


def test_braces_without_values_are_left_alone():
    assert tr("a set {1, 2}") == "a set {1, 2}"


def test_a_missing_value_is_an_error():
    with pytest.raises(KeyError):
        tr("{done} of {total}", done=3)
