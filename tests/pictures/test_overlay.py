"""Colours: an order that never turns round, one scale for two maps, and legends that say it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from app.map_markup import legend
from mambaout.pictures.overlay import Scale, overlay, per_area

LUMINANCE = np.array([0.2126, 0.7152, 0.0722])
WHITE = Image.new("RGB", (64, 64), "white")


def brightness(colours):
    return colours @ LUMINANCE


def test_hotter_in_never_colder_out():
    values = np.linspace(-3, 11, 4001)[None]
    light = brightness(Scale(-3, 11).colours(values))[0]
    assert light[-1] - light[0] > 150
    assert (np.diff(light) > 0).all()


def test_the_colours_are_cividis():
    ends = Scale(0, 1).colours(np.array([[0.0, 1.0]]))[0]
    assert ends.tolist() == [[0, 34, 78], [254, 232, 56]]
    # blue gives way to yellow all the way, which is what red-green blindness leaves visible
    colours = Scale(0, 1).colours(np.linspace(0.1, 0.98, 100)[None])[0]
    assert (np.diff(colours[:, 0] - colours[:, 2]) > 0).all()


def test_equal_values_have_equal_colours_on_one_scale():
    left, right = np.array([[0.0, 1.0, 2.0]]), np.array([[2.0, 5.0, 10.0]])
    shared = Scale.over([left, right])
    assert (shared.low, shared.high) == (0, 10)
    assert (shared.colours(left)[0, 2] == shared.colours(right)[0, 0]).all()
    own = Scale.over([left]), Scale.over([right])
    assert (own[0].colours(left)[0, 2] != own[1].colours(right)[0, 0]).any()


def test_evidence_per_area_does_not_depend_on_the_grid():
    coarse = np.array([[4.0, 0.0], [8.0, 4.0]])
    fine = np.kron(coarse, np.ones((3, 3))) / 9  # the same evidence, on nine times the places
    assert fine.sum() == pytest.approx(coarse.sum())
    assert fine.max() < coarse.max() / 2
    assert per_area(fine) == pytest.approx(np.kron(per_area(coarse), np.ones((3, 3))))


def test_a_scale_that_is_never_negative_starts_at_zero():
    assert Scale.from_zero([np.array([[0.5, 2.0]])]) == Scale(0, 2)
    assert Scale.over([np.array([[0.5, 2.0]])]) == Scale(0.5, 2)


def test_a_signed_scale_has_a_grey_zero_in_its_middle():
    scale = Scale.from_zero([np.array([[-1.0, 4.0]])], signed=True)
    assert (scale.low, scale.high) == (-4, 4)
    against, zero, favour = scale.colours(np.array([[-4.0, 0.0, 4.0]]))[0]
    assert np.ptp(zero) < 2
    assert against[2] > against[0] + 100
    assert favour[0] > favour[2] + 100
    assert brightness(against) == pytest.approx(brightness(favour), abs=12)


def test_a_map_of_one_value_is_drawn_in_one_colour():
    colours = Scale.over([np.full((2, 2), 3.0)]).colours(np.full((2, 2), 3.0))
    assert np.isfinite(colours).all()
    assert np.ptp(colours, axis=(0, 1)).max() == 0


@pytest.mark.parametrize("shape", [(1, 1), (4, 8), (7, 7), (14, 14), (5, 3)])
def test_cells_are_enlarged_without_interpolation(shape):
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    drawn = np.asarray(overlay(WHITE, values, Scale.over([values]), opacity=1.0))
    nearest = Image.fromarray(values).resize(WHITE.size, Image.Resampling.NEAREST)
    expected = Scale.over([values]).colours(np.asarray(nearest)).round().astype(np.uint8)
    assert (drawn == expected).all()


def test_the_picture_under_a_map_is_grey_and_still_there():
    picture = Image.new("RGB", (64, 64), (200, 40, 40))
    picture.paste((20, 160, 220), (32, 0, 64, 64))
    drawn = np.asarray(overlay(picture, np.zeros((1, 1)), Scale(0, 1)), dtype=float)
    left, right = drawn[0, 0], drawn[0, 63]
    assert np.abs(left - right).min() > 3
    assert np.ptp(left - right) <= 1  # lighter in every channel alike: no hue of its own
    assert picture.getpixel((0, 0)) == (200, 40, 40)


def test_a_cell_without_a_value_stays_grey():
    values = np.array([[np.nan, 1.0]])
    drawn = np.asarray(overlay(WHITE, values, Scale.over([values, np.zeros((1, 1))])))
    assert (drawn[:, :32] == 255).all()
    assert np.ptp(drawn[0, 63]) > 50


@pytest.mark.parametrize("values", [np.zeros(3), np.full((2, 2), np.inf)])
def test_what_is_no_map_is_refused(values):
    with pytest.raises(ValueError, match="expected a map"):
        overlay(WHITE, values, Scale(0, 1))


def test_the_legend_shows_the_range_the_unit_and_the_colours():
    words = legend(Scale(0.0216, 1234.5), "scan steps", "Step size Δ")
    assert ">0.0216<" in words
    assert ">1234<" in words or ">1235<" in words
    assert "scan steps" in words
    assert 'aria-label="Step size Δ: colours from 0.0216 to 123' in words
    stops = words.partition("linear-gradient(90deg, ")[2].partition(')"')[0].split("), ")
    assert stops[0] == "rgb(0 34 78"
    assert stops[-1].startswith("rgb(254 232 56")
