from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.data import Mixup

from mambaout.training.augment import (
    LUMA,
    augment,
    mixed,
    normalise,
    resampling,
    step_seed,
)
from mambaout.training.config import Recipe

MEAN, STD = torch.tensor([0.5, 0.4, 0.3]), torch.tensor([0.2, 0.25, 0.3])
PLAIN = Recipe(model="m", crop_area=1.0, color_jitter=0.0)


@pytest.fixture
def images():
    """Smooth pictures (b, 3, 64, 64), so that a resampled pixel is close to its neighbours."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(16, 3, 5, 5, generator=generator)
    smooth = F.interpolate(coarse, size=(64, 64), mode="bicubic").clamp(0, 1)
    return (smooth * 255).byte()


def drawn(images, recipe, size=64, seed=0):
    return augment(images, recipe, size, MEAN, STD, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [64, 48, 32, 20, 100])
def test_resampling_the_whole_line_is_torchs_antialiased_resize(images, size):
    line = resampling(torch.zeros(1), torch.full((1,), 64.0), 64, size)[0]
    pictures = images.float()
    expected = F.interpolate(pictures, size=(size, size), mode="bilinear", antialias=True)
    assert torch.allclose(line @ pictures @ line.T, expected, atol=1e-3)


def test_resampling_backwards_mirrors():
    start, end = torch.tensor([10.0]), torch.tensor([42.0])
    forward = resampling(start, end, 64, 16)
    assert torch.allclose(resampling(end, start, 64, 16), forward.flip(1), atol=1e-6)
    assert not torch.allclose(forward, forward.flip(1))


def test_resampling_finds_positions():
    ramp = torch.arange(64) + 0.5  # the value of a pixel is its position
    line = resampling(torch.tensor([8.0]), torch.tensor([40.0]), 64, 16)[0]
    assert torch.allclose(line @ ramp, 8 + 2 * (torch.arange(16) + 0.5), atol=1e-4)


def test_crops_stay_inside_the_picture_and_differ_between_pictures():
    columns = torch.linspace(0, 1, 64).expand(256, 3, 64, 64)
    recipe = replace(PLAIN, crop_area=0.3)
    pictures = drawn((columns * 255).byte(), recipe) * STD.view(3, 1, 1) + MEAN.view(3, 1, 1)
    left, right = pictures[:, 0, 0, 0], pictures[:, 0, 0, -1]
    assert pictures.min() >= -1e-4
    assert pictures.max() <= 1 + 1e-4
    widths = (right - left).abs()
    smallest, largest = math.sqrt(0.3 * 3 / 4), 1
    assert smallest - 0.03 < widths.min() < smallest + 0.1
    assert largest - 0.1 < widths.max() <= largest
    assert 0.4 < (right < left).float().mean() < 0.6  # mirrored
    assert left.std() > 0.1


def test_colours_change_as_the_formulas_say_one_after_another():
    recipe = replace(PLAIN, color_jitter=0.4)
    flat = torch.rand(8, 3, 1, 1).expand(8, 3, 64, 64)  # a crop of one colour is that colour
    shown = flat.mul(255).byte()
    pictures = drawn(shown, recipe, seed=5)
    generator = torch.Generator().manual_seed(5)
    torch.rand(5, 8, generator=generator)  # the crop draws first
    brightness, contrast, saturation = 0.6 + 0.8 * torch.rand(3, 8, 1, 1, 1, generator=generator)
    luma = torch.tensor(LUMA).view(3, 1, 1)
    expected = shown / 255
    grey = (expected * luma).sum(1, keepdim=True)
    expected = saturation * expected + (1 - saturation) * grey
    mean_grey = (expected * luma).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    expected = brightness * (contrast * expected + (1 - contrast) * mean_grey)
    expected = (expected - MEAN.view(3, 1, 1)) / STD.view(3, 1, 1)
    assert (pictures - normalise(shown, 64, MEAN, STD)).abs().max() > 0.2
    assert torch.allclose(pictures, expected, atol=1e-4)


def test_contrast_turns_around_the_mean_of_its_own_picture(images):
    recipe = replace(PLAIN, color_jitter=0.5)
    luma = torch.tensor(LUMA).view(3, 1, 1)

    def grey(pictures):
        pictures = pictures * STD.view(3, 1, 1) + MEAN.view(3, 1, 1)
        return (pictures * luma).sum(1).flatten(1)  # (b, pixels)

    plain, changed = grey(drawn(images, PLAIN)), grey(drawn(images, recipe))
    gain = changed.std(1) / plain.std(1)  # brightness * contrast
    shift = changed.mean(1) / plain.mean(1)  # brightness alone
    assert (gain / shift).std() > 0.1
    assert (shift > 0.5).all()
    assert (shift < 1.5).all()


def test_the_same_seed_gives_the_same_pictures(images):
    recipe = Recipe(model="m")
    assert torch.equal(drawn(images, recipe, seed=1), drawn(images, recipe, seed=1))
    assert not torch.equal(drawn(images, recipe, seed=1), drawn(images, recipe, seed=2))


def test_the_given_pictures_are_left_alone(images):
    before = images.clone()
    drawn(images, Recipe(model="m"), size=32)
    normalise(images, 32, MEAN, STD)
    assert torch.equal(images, before)


def test_smaller_training_pictures_look_like_smaller_validation_pictures(images):
    whole = normalise(images, 32, MEAN, STD)
    # crop_area 1 still changes the aspect: smooth pictures differ little, other pictures much
    near = (drawn(images, PLAIN, size=32).mean((2, 3)) - whole.mean((2, 3))).abs().mean()
    far = (whole.mean((2, 3)) - whole.roll(1, 0).mean((2, 3))).abs().mean()
    assert near < far / 5


def test_mixing_draws_from_its_seed_and_puts_numpys_generator_back(images):
    mixup = Mixup(1.0, 1.0, prob=1.0, label_smoothing=0.1, num_classes=4)
    labels = torch.arange(16) % 4
    state = np.random.get_state()  # noqa: NPY002
    first, targets = mixed(mixup, images.float(), labels, seed=1)
    again, _ = mixed(mixup, images.float(), labels, seed=1)
    other, _ = mixed(mixup, images.float(), labels, seed=2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, images.float())
    assert torch.allclose(targets.sum(1), torch.ones(16))
    for now, then in zip(np.random.get_state(), state, strict=True):  # noqa: NPY002
        assert np.array_equal(now, then)


def test_every_epoch_and_step_has_a_seed_of_its_own():
    seeds = {
        step_seed(seed, epoch, step) for seed in (0, 1) for epoch in range(20) for step in range(50)
    }
    assert len(seeds) == 2 * 20 * 50
    assert step_seed(0, 1, 2) == step_seed(0, 1, 2)
