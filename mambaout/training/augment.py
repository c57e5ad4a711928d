"""Random crop, flip and colour of a whole batch at once, and what validation sees instead."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from timm.data import Mixup
from torch import Tensor

from mambaout.training.config import Recipe

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in a grey picture (ITU-R BT.601)."""


def step_seed(seed: int, *path: int) -> int:
    """A seed of its own for every (epoch, step), so that a resumed run draws what it would have."""
    return int(np.random.SeedSequence([seed, *path]).generate_state(1, np.uint64)[0] >> 1)


def normalise(images: Tensor, size: int, mean: Tensor, std: Tensor) -> Tensor:
    """uint8 (b, 3, h, w) -> normalised float (b, 3, size, size), as at inference."""
    pictures = _resized(images.float().div_(255), size)
    return pictures.sub(mean.view(3, 1, 1)).div_(std.view(3, 1, 1))


def augment(
    images: Tensor,
    recipe: Recipe,
    size: int,
    mean: Tensor,
    std: Tensor,
    generator: torch.Generator,
    *,
    share: Tensor | None = None,
    batch: int | None = None,
) -> Tensor:
    """uint8 (b, 3, h, w) -> normalised float (b, 3, size, size), each picture changed at random.

    The crop covers ``recipe.crop_area`` to all of the picture at an aspect between 3:4 and 4:3
    (the ranges of Szegedy et al., arXiv 1409.4842, but for the smallest area), flipped with
    probability 1/2. Brightness, contrast and saturation change by up to ``recipe.color_jitter``,
    without clipping. ``generator`` lives on the CPU; so a GPU draws the same numbers.

    Where ``images`` are those at the positions ``share`` (b,) of a ``batch``, they change as they
    would among the others.
    """
    b, _, height, width = images.shape
    chosen = torch.arange(b) if share is None else share
    (top, bottom), (left, right) = _crop(chosen, batch or b, recipe.crop_area, generator)
    rows = resampling(top * height, bottom * height, height, size).to(images.device)  # (b, size, h)
    columns = resampling(left * width, right * width, width, size).to(images.device)  # (b, size, w)
    # one matrix product per axis is three times as fast as grid_sample and an antialiased resize
    narrow = images.float().flatten(1, 2) @ columns.mT  # (b, 3 * h, size)
    pictures = rows[:, None] @ narrow.view(b, 3, height, size)  # (b, 3, size, size)
    # one 3x3 matrix and one bias per picture hold the colour change and the normalisation
    color, offset = _color(chosen, batch or b, recipe.color_jitter, generator)
    luma = torch.tensor(LUMA, device=images.device)
    grey = (pictures.mean(dim=(2, 3)) @ luma)[:, None]  # (b, 1)
    scale = 1 / (255 * std)
    matrix = color.to(images.device) * scale[:, None]  # (b, 3, 3)
    bias = offset.to(images.device) * grey * scale - mean / std  # (b, 3)
    flat = pictures.flatten(2)  # (b, 3, size * size)
    return torch.baddbmm(bias[:, :, None], matrix, flat).view(b, 3, size, size)


def resampling(start: Tensor, end: Tensor, length: int, size: int) -> Tensor:
    """Matrices (b, size, length) that take the pixels from ``start`` to ``end`` to ``size`` pixels.

    ``start`` and ``end`` (b,) are positions in [0, length]; ``end < start`` mirrors. The filter is
    bilinear, and as wide as an output pixel where that is larger than an input pixel, so that
    making pictures smaller does not alias (as Pillow's and torch's antialiased resize do).
    """
    step = (end - start) / size  # (b,) input pixels per output pixel
    centres = start[:, None] + (torch.arange(size) + 0.5) * step[:, None]  # (b, size)
    distance = (torch.arange(length) + 0.5 - centres[:, :, None]).abs()  # (b, size, length)
    weights = (1 - distance / step.abs().clamp(min=1)[:, None, None]).clamp_(min=0)
    return weights / weights.sum(dim=-1, keepdim=True)


def mixed(mixup: Mixup, images: Tensor, labels: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """timm's mixup or cutmix, drawn from ``seed``.

    ``images`` (b, 3, h, w) may be changed in place. Returns pictures (b, 3, h, w) and soft labels
    (b, classes).
    """
    with numpy_seeded(seed):
        pictures, targets = mixup(images, labels)
    return pictures, targets


@contextlib.contextmanager
def numpy_seeded(seed: int) -> Iterator[None]:
    """NumPy's global generator, which timm's Mixup draws from, seeded and put back."""
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def _resized(pictures: Tensor, size: int) -> Tensor:
    if pictures.shape[-2:] == (size, size):
        return pictures
    return F.interpolate(
        pictures, size=(size, size), mode="bilinear", antialias=True, align_corners=False
    )


def _crop(
    chosen: Tensor, batch: int, smallest: float, generator: torch.Generator
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Shares of the picture: (top, bottom) and (left, right), each like ``chosen``."""
    area, ratio, down, along, flip = torch.rand(5, batch, generator=generator)[:, chosen]
    area = smallest + (1 - smallest) * area
    ratio = torch.exp((2 * ratio - 1) * math.log(4 / 3))
    width = (area * ratio).sqrt().clamp(max=1)
    height = (area / ratio).sqrt().clamp(max=1)
    top, left = down * (1 - height), along * (1 - width)
    mirrored = flip < 0.5
    sides = torch.where(mirrored, left + width, left), torch.where(mirrored, left, left + width)
    return (top, top + height), sides


def _color(
    chosen: Tensor, batch: int, strength: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """For each of ``chosen`` a matrix (3, 3) on RGB, and the share (1,) of the mean grey to add."""
    draws = torch.rand(3, batch, 1, 1, generator=generator)[:, chosen]
    brightness, contrast, saturation = 1 + strength * (2 * draws - 1)
    grey = torch.tensor(LUMA).expand(3, 3)
    matrix = brightness * contrast * (saturation * torch.eye(3) + (1 - saturation) * grey)
    offset = brightness * (1 - contrast)
    return matrix, offset.view(-1, 1)
