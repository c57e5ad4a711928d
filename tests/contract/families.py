"""The architectures of our families in timm's registry, and a small model of each."""

from __future__ import annotations

from functools import cache

import timm
import torch
from timm.models import model_entrypoint

import mambaout.models

_OURS = f"{mambaout.models.__name__}."
HEIGHT, WIDTH = 32, 48  # pixels; not square: a transposed grid would show

_DIRECTIONS = (("h", "v_flip", "w2", "w3_flip"), ("h_flip", "v", "w2_flip", "w3"), ("h", "v") * 2)
_STAGES = {"depths": (1, 1, 1), "dims": (16, 24, 32)}
_TOKENS = {"img_size": (HEIGHT, WIDTH), "embed_dim": 32}

# By the file that registers them. A family that is not here fails every test: add it.
SMALL = {
    "attention": {**_TOKENS, "patch_size": 8, "depth": 3, "num_heads": 2},
    "efficient_vmamba": _STAGES,
    "gated_cnn": _STAGES,
    "local_vim": {**_TOKENS, "patch_size": 8, "directions": _DIRECTIONS},
    "local_vmamba": {**_STAGES, "directions": _DIRECTIONS},
    "mamba_vision": {
        "depths": (1, 1, 2, 2),
        "dim": 8,
        "in_dim": 8,
        "num_heads": (1, 1, 2, 2),
        "window_size": (4, 4, 4, 2),
    },
    "plain_mamba": {**_TOKENS, "depth": 3},
    "vim": {**_TOKENS, "patch_size": 8, "depth": 3, "d_state": 4},
    "vmamba": _STAGES,
}


def architectures():
    """Every name that importing `mambaout.models` adds to timm's registry."""
    return [n for n in timm.list_models() if model_entrypoint(n).__module__.startswith(_OURS)]


def family(name):
    """The file that registers ``name``, such as "vim"."""
    return model_entrypoint(name).__module__.removeprefix(_OURS)


def small(name, **options):
    """A small model of an architecture; the same weights at every call."""
    torch.manual_seed(0)
    return timm.create_model(name, **SMALL[family(name)] | options)


@cache
def networks():
    """One architecture of each kind: those that are the same when small differ in size alone."""
    kinds = {}
    for name in architectures():
        model = small(name, num_classes=5)
        shapes = ((name, tensor.shape) for name, tensor in model.state_dict().items())
        kinds.setdefault((repr(model), *shapes), name)
    return list(kinds.values())


def pictures(count=2, channels=3, shrink=1):
    """Random pictures that differ, (count, channels, HEIGHT / shrink, WIDTH / shrink)."""
    return torch.randn(count, channels, HEIGHT // shrink, WIDTH // shrink)
