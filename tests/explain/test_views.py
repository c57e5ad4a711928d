"""Views that are kept: made once, lent to one at a time, and clean when they are lent again."""

from __future__ import annotations

import copy
import gc
import weakref

import numpy as np
import pytest
import timm
import torch

from mambaout.explain import grad_cam, keep_views, scan_trace
from mambaout.explain.views import lent_view
from mambaout.models import share_weights


def build():
    torch.manual_seed(0)
    options = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_classes": 5}
    return timm.create_model("vim_atto", **options).eval().requires_grad_(False)


@pytest.fixture
def model():
    return build()


@pytest.fixture
def picture():
    return torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))


class Maker:
    """Makes views, and counts them."""

    def __init__(self):
        self.made = []

    def __call__(self, model):
        self.made.append(share_weights(model))
        return self.made[-1]


def lend(model, view):
    with lent_view(model, view) as lent:
        return lent


def test_a_view_is_kept_only_of_a_model_that_nobody_changes(model):
    view = Maker()
    assert lend(model, view) is not lend(model, view)
    keep_views(model)
    assert lend(model, view) is lend(model, view)
    assert len(view.made) == 3
    # Another kind of view is another view, and so is one of another model.
    assert lend(model, Maker()) not in view.made
    assert lend(copy.deepcopy(model), view) is view.made[-1]
    assert len(view.made) == 4


def test_nobody_is_lent_a_view_that_another_has(model):
    keep_views(model)
    view = Maker()
    with lent_view(model, view) as one, lent_view(model, view) as other, lent_view(model, view):
        assert one is not other
    assert len(view.made) == 3
    assert {lend(model, view) for _ in range(5)} <= set(view.made[:2])


def test_after_an_error_a_view_is_not_used_again(model):
    keep_views(model)
    view = Maker()
    with pytest.raises(ValueError, match="in the middle"), lent_view(model, view):
        raise ValueError("in the middle")
    assert lend(model, view) is view.made[1]


def test_kept_views_end_with_their_model():
    model = build()
    keep_views(model)
    view = weakref.ref(lend(model, share_weights))
    assert view() is not None
    del model
    gc.collect()
    assert view() is None


@pytest.mark.parametrize("layers", [None, ["layers.0.mixer"]], ids=["all", "as far as one"])
def test_what_kept_views_say_is_the_same_to_the_last_bit(model, picture, layers):
    def answers():
        traces = scan_trace(model, picture, layers=layers)
        maps = [grad_cam(model, picture, 1, method=m).values for m in ("gradcam", "hirescam")]
        return [*maps, *(getattr(t, name) for t in traces for name in ("delta", "read", "write"))]

    expected = answers()
    before = model(picture)
    keep_views(model)
    for _ in range(3):
        assert all(map(np.array_equal, answers(), expected))
    # The model never was touched, and what is kept has neither hooks nor projections.
    assert torch.equal(model(picture), before)
    from mambaout.explain import views

    kept = [view for pool in views._kept[model].values() for view in pool]
    assert len(kept) == 2
    for module in (module for view in kept for module in view.modules()):
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not getattr(module, "keeps_projection", False)
        assert getattr(module, "_kept", None) is None
