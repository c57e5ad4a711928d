"""Numbers and places, as they are written in sentences."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from app import numbers, text
from mambaout.catalogue.status import WeightsStatus


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "0"),
        (0.123456, "0.123"),
        (0.5, "0.5"),
        (-2.25, "−2.25"),
        (12.345, "12.3"),
        (1234.4, "1234"),
        (40, "40"),
        (0.00123, "0.00123"),
        (0.00001234, "1.23 × 10⁻⁵"),
        (2.5e7, "2.5 × 10⁷"),
    ],
)
def test_numbers_have_three_digits(value, written):
    assert numbers.number(value) == written


@pytest.mark.parametrize(
    ("probability", "written"),
    [(1, "100 %"), (0.614, "61 %"), (0.0994, "9.9 %"), (0.0005, "0.1 %"), (1e-9, "< 0.1 %")],
)
def test_what_is_possible_is_never_zero_percent(probability, written):
    assert numbers.percent(probability) == written


@pytest.mark.parametrize(
    ("before", "after", "written"),
    [
        (0.61, 0.44, "−17 points"),
        (0.1, 0.125, "+2.5 points"),
        (0.3, 0.3, "±0 points"),
        (0.3, 0.30001, "±0 points"),
    ],
)
def test_a_change_is_in_points_with_its_sign(before, after, written):
    assert numbers.change(before, after) == written


@pytest.mark.parametrize(
    ("cell", "words"),
    [((0, 0), "upper left"), ((8, 8), "lower right"), ((4, 4), "centre"), ((4, 0), "centre left")],
)
def test_places_are_in_words(cell, words):
    values = np.zeros((9, 9))
    values[cell] = 1
    assert text.strongest(values) == f"{words} (row {cell[0] + 1}, column {cell[1] + 1} of 9 × 9)"


def test_a_map_with_holes_has_a_strongest_place():
    assert text.strongest(np.array([[np.nan, 2.0], [1.0, 0.0]])).startswith("upper right (row 1")


FACTS = "Vim-Tiny · 7.15 M parameters · 1.55 GMACs · 76.1 % · apache-2.0 · "


@pytest.mark.parametrize(
    ("state", "reason", "note"),
    [
        ("bundled", "bundled with the project", FACTS + "bundled"),
        ("cached", "downloaded from x", FACTS + "on this machine"),
        (
            "available",
            "will be downloaded from x/model.safetensors",
            FACTS + "29 MB to download",
        ),
        (
            "available",
            "will be downloaded from x/vim.pth",
            FACTS + "more than 29 MB to download",
        ),
        (
            "unavailable",
            "Not downloaded yet, and offline mode is on.",
            FACTS + "weights not here",
        ),
    ],
)
def test_a_choice_says_where_its_weights_are(state, reason, note):
    card = SimpleNamespace(
        title="Vim-Tiny",
        params=7_148_008,
        macs=1_554_000_000,
        top1=76.1,
        data="ImageNet-1k",
        licence="apache-2.0",
        weights=WeightsStatus(state, reason, None, None),
    )
    assert text.choice(card) == note


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        (None, "Loading Vim …"),
        ((12_000_000, 29_000_000), "Downloading Vim: 12 MB of 29 MB"),
        ((1_200_000, None), "Downloading Vim: 1.2 MB"),
        ((29_000_000, 29_000_000), "Loading Vim …"),
    ],
)
def test_a_download_says_how_far_it_is(progress, words):
    assert text.loading("Vim", progress) == words


def test_a_faint_map_says_so():
    assert text.faint(0.5, 1.0) == ""
    assert "1.0 % of the shared scale" in text.faint(0.01, 1.0)


def test_errors_read_as_sentences():
    assert text.sentence("no map here") == "No map here."
    assert text.sentence("Try again.") == "Try again."
