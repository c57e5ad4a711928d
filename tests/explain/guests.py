"""Small models to explain, and the record by which one sees that an explainer was a good guest."""

from __future__ import annotations

import contextlib

import pytest
import torch
from timm.models.mambaout import MambaOut

from mambaout.models.vim import VisionMamba
from tests.models.causality import redrawn

SIZE = (64, 96)  # not square: rows and columns cannot be mistaken for one another


def small_mambaout(**kwargs):
    return MambaOut(depths=(1, 1, 1), dims=(16, 24, 32), num_classes=5, **kwargs)


def small_vim(**kwargs):
    config = {"patch_size": 16, "embed_dim": 32, "depth": 3, "d_state": 4, "num_classes": 5}
    return VisionMamba(SIZE, **config | kwargs)


FAMILIES = {"mambaout": small_mambaout, "vim": small_vim}


def picture(seed=0):
    return torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(seed))


def busy_model(family):
    """A model in the middle of something else: training in part, with gradients, one frozen."""
    model = redrawn(FAMILIES[family]()).requires_grad_()
    for i, p in enumerate(model.parameters()):
        p.grad = torch.full_like(p, i)
    next(model.parameters()).requires_grad_(False)
    next(iter(model.children())).train()
    return model


def _hooks(module):
    return [list(getattr(module, kind)) for kind in vars(module) if kind.endswith("_hooks")]


def _record(model):
    return {
        "hooks": [_hooks(module) for module in model.modules()],
        "training": [module.training for module in model.modules()],
        "weights": [(id(t), t._version) for t in (*model.parameters(), *model.buffers())],
        "requires_grad": [p.requires_grad for p in model.parameters()],
        "gradients": [(id(p.grad), p.grad.sum().item()) for p in model.parameters()],
        "grad_enabled": torch.is_grad_enabled(),
    }


@contextlib.contextmanager
def left_as_found(model, raising=None):
    """Fail if what happens inside leaves a trace on ``model``, also if it raises ``raising``."""
    image = picture(99)
    before = _record(model)
    with torch.no_grad():
        logits = model(image)
    with pytest.raises(raising) if raising else contextlib.nullcontext():
        yield
    assert _record(model) == before
    with torch.no_grad():
        assert torch.equal(model(image), logits)
