"""Whole models at 224 pixels: what a scan costs where it is one part among others."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import median

import timm
import torch
from torch import Tensor, nn

import mambaout.models  # registers its families with timm  # noqa: F401
from benchmarks.report import Goal, Result, milliseconds
from benchmarks.timing import Effort, interleaved, ratio

GROUP = "models"
VIM, DEIT = "vim_tiny_patch16_224", "deit_tiny_patch16_224"
VMAMBA, MAMBAOUT = "vmamba_tiny_s1l8", "mambaout_tiny"
PAIRS = ((VIM, DEIT, Goal("at most", 2)), (VMAMBA, MAMBAOUT, Goal("at most", 1.2)))


def build(name: str, **options: int) -> nn.Module:
    """A model with random weights, the same ones every time; time does not depend on them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = timm.create_model(name, pretrained=False, **options)
    return model.eval().requires_grad_(False)


def picture(side: int, batch: int = 1) -> Tensor:
    """Normalised pictures of noise, (batch, 3, side, side)."""
    return torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))


def forward(model: nn.Module, image: Tensor) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(image)
        return logits


def measure(effort: Effort) -> Iterator[Result]:
    """Time of one picture and of eight, as ratios of models in one run."""
    models = {name: build(name) for name in (VIM, DEIT, VMAMBA, MAMBAOUT)}
    for batch in (1, 8):
        image = picture(224, batch)
        runs = {name: partial(forward, model, image) for name, model in models.items()}
        times = interleaved(runs, effort)
        pictures = "one picture" if batch == 1 else f"{batch} pictures"
        for ours, other, goal in PAIRS:
            note = milliseconds(median(times[ours]), median(times[other]))
            if batch > 1:
                rates = (batch / median(times[name]) for name in (ours, other))
                note += ", " + " : ".join(f"{rate:.3g}" for rate in rates) + " pictures/s"
            case = f"{ours} / {other}, {pictures}"
            yield Result.of(GROUP, case, ratio(times[ours], times[other]), goal, note)
