"""The study on the page: the cards' numbers, and sentences that claim no more than they say."""

from __future__ import annotations

import copy
import re
import xml.etree.ElementTree as ET

import pytest

from app.language import speaking
from app.study_markup import reading, study_section
from mambaout.catalogue.bundled import bundled_cards
from mambaout.evaluation.study_table import rows_of


@pytest.fixture
def rows():
    return rows_of(bundled_cards())


def test_every_accuracy_of_the_cards_is_in_the_table(rows):
    section = study_section(rows)
    for card in bundled_cards():
        for measured in (card, card["other_mixing"]):
            low, high = measured["val_top1_interval"]
            assert (
                f"{100 * measured['val_top1']:.1f} % ({100 * low:.1f}–{100 * high:.1f})" in section
            )


def test_the_plot_brings_no_style_that_the_page_would_take_over(rows):
    [drawing] = re.findall(r"<svg.*</svg>", study_section(rows), flags=re.DOTALL)
    assert "<style" not in drawing
    ET.fromstring(drawing)
    ids = re.findall(r'id="([^"]+)"', drawing)
    assert all(name.startswith("study-") for name in ids)


def test_what_may_be_chance_is_counted(rows):
    row = copy.deepcopy(next(r for r in rows if r["trained"] and r["trained_causally"]))
    row["trained"] = {"top1": 0.6, "interval": [0.57, 0.63], "count": 1200}
    row["switched"] = {"top1": 0.4, "interval": [0.37, 0.43], "count": 1200}
    row["trained_causally"] = {"top1": 0.56, "interval": [0.53, 0.59], "count": 1200}
    row["differences"]["trained_causally"] = {"change": -0.04, "interval": [-0.09, 0.01]}
    apart = copy.deepcopy(row)
    apart["differences"]["trained_causally"]["interval"] = [-0.07, -0.01]
    unknown = copy.deepcopy(row)
    unknown["differences"]["trained_causally"] = None
    changes, chance, _ = reading([row, apart, unknown])
    assert "change by −20 points" in changes
    assert "differ by −4 points" in changes
    assert chance.endswith("1 of 2.")
    section = study_section([row, unknown])
    assert "−4.0 points (−9.0 to +1.0)" in section
    assert "not measured" in section


def test_a_row_with_one_training_claims_nothing_of_a_pair(rows):
    alone = {**rows[0], "trained_causally": None, "opened": None}
    assert len(reading([alone])) == 1
    assert "not trained" in study_section([alone])


def test_without_cards_there_is_no_study():
    assert not study_section([])


def test_it_is_told_in_the_visitors_language(rows):
    with speaking("fr"):
        section = study_section(rows)
    assert "entraîné causalement" in section
    assert "trained causally" not in section
