"""What is drawn under a map is what the model saw."""

from __future__ import annotations

import numpy as np
import pytest
import timm
from PIL import Image
from timm.data import create_transform, resolve_data_config

from mambaout.catalogue.cards import offered
from mambaout.pictures.framing import Framing


def coordinates(width, height):
    """A picture whose red and green are each pixel's place, from 0 to 255."""
    across = np.linspace(0, 255, width)[None].repeat(height, 0)
    down = np.linspace(0, 255, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([across, down, 0 * across], -1).round().astype(np.uint8))


def config(side, crop_pct, **more):
    return {
        "input_size": (3, side, side),
        "crop_pct": crop_pct,
        "crop_mode": "center",
        "interpolation": "bicubic",
        "mean": (0.0, 0.0, 0.0),
        "std": (1.0, 1.0, 1.0),
        **more,
    }


@pytest.mark.parametrize("size", [(300, 200), (200, 301), (64, 64), (37, 640)])
@pytest.mark.parametrize("mode", ["center", "squash"])
@pytest.mark.parametrize(("side", "crop_pct"), [(64, 1.0), (224, 0.9), (224, 0.875)])
def test_the_same_part_is_seen_and_drawn(size, side, crop_pct, mode):
    picture, data = coordinates(*size), config(side, crop_pct, crop_mode=mode)
    model_sees = 255 * create_transform(**data, is_training=False)(picture).numpy()
    drawn = np.asarray(Framing.of(data).seen(picture, side), dtype=float).transpose(2, 0, 1)
    one_pixel = 255 / Framing.of(data).resized  # of the model's, as a difference of brightness
    inner = np.s_[:2, 2:-2, 2:-2]  # filters differ at the border
    assert np.abs(model_sees[inner] - drawn[inner]).max() < one_pixel / 2 + 1.5


def test_squashing_shows_more_of_a_wide_picture():
    across = [Framing(224, 224, squashed).box(400, 200) for squashed in (False, True)]
    assert across == [(100, 0, 300, 200), (0, 0, 400, 200)]


def test_the_middle_is_not_the_whole():
    left, top, right, bottom = Framing(224, 248).box(400, 300)
    assert left > 50
    assert top > 10
    assert (right - left, bottom - top) == pytest.approx((271, 271), abs=1)


@pytest.mark.parametrize("odd", [{"input_size": (3, 64, 96)}, {"crop_mode": "border"}])
def test_another_crop_is_refused(odd):
    with pytest.raises(ValueError, match="square cut out of the middle"):
        Framing.of(config(64, 1.0, **odd))


def test_every_model_on_offer_sees_a_square_from_the_middle():
    for card in offered():
        data = resolve_data_config(pretrained_cfg=timm.get_pretrained_cfg(card.name).to_dict())
        assert Framing.of(data).side == card.input_size[1]
