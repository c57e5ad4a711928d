"""HTML that says what was computed, and nothing that a label could make of it."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np

from app import map_markup, markup
from app.models_markup import models_table
from mambaout.catalogue.vocabulary import Vocabulary, short_names

HOSTILE = '<img src=x onerror="alert(1)">${alert(1)}{{value}}'


class Elements(HTMLParser):
    """The tags and the text of a fragment."""

    def __init__(self, fragment):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(fragment)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words += data


def test_words_stay_words():
    for fragment in (markup.chip(HOSTILE), markup.note(HOSTILE), markup.section("x", HOSTILE)):
        parsed = Elements(fragment)
        assert "img" not in parsed.tags
        assert HOSTILE in parsed.words
        assert "${" not in fragment


def test_a_maps_absence_has_a_reason():
    assert Elements(map_markup.instead("No scan", "no scan here")).words == "No scanNo scan here."


def test_a_window_is_drawn_tap_by_tap():
    window = np.arange(9).reshape(3, 3) <= 4
    fragment = map_markup.instead("No scan", "it convolves", window)
    assert fragment.count("<i></i>") == 5
    assert fragment.count('<i class="mo-cut"></i>') == 4
    assert "Each token sees 5 of the 3 × 3 around it" in fragment
    assert "sees the 3 × 3 around it" in map_markup.instead("", "x", np.ones((3, 3), bool))


def test_every_model_is_in_the_table(model_card):
    cards = [model_card("vim_atto.tiny_imagenet", "Vim"), model_card("mambaout_atto.tiny_imagenet")]
    table = Elements(models_table(cards))
    assert table.tags.count("tr") == 1 + 2 + 2  # columns, families, models
    assert "Vim-Atto" in table.words
    assert "apache-2.0" in table.words


def test_synonyms_are_left_out_unless_they_are_needed():
    names = ["tench, Tinca tinca", "crane, a bird", "crane, a machine", "lion"]
    assert short_names(names) == ["tench", "crane, a bird", "crane, a machine", "lion"]


def test_classes_are_the_same_in_whatever_order():
    one = Vocabulary(("lion", "cat"), ("n1", "n2"))
    other = Vocabulary(("cat", "lion"), ("n2", "n1"))
    assert one.same_classes(other)
    assert not one.same_classes(Vocabulary(("lion",), ("n1",)))
    assert one.index_of_label("cat") == 1
    assert one.index_of_label("dog") is None
