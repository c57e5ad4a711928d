"""EfficientViM: why it cannot be switched, and where its tokens lie."""

from __future__ import annotations

import pytest
import timm
import torch

from mambaout import with_mixing
from mambaout.models import token_grid


@pytest.mark.parametrize("name", ["efficientvim_m1", "efficientvim_m4", "efficientvim_m1_dist"])
def test_has_no_causal_form(name):
    with torch.device("meta"):
        model = timm.create_model(name)
    with pytest.raises(TypeError, match="there is no scan and no order that could be cut"):
        with_mixing(model, "causal")


@torch.no_grad()
def test_mixer_has_no_order():
    """What the reason says: tokens in another order give the same states."""
    mixer = timm.create_model("efficientvim_m1").stages[0].blocks[0].mixer.eval()
    # Alone, without the small convolution, whose neighbourhoods a new order would change.
    mixer.dw = torch.nn.Identity()
    x = torch.randn(1, 128, 4, 5)
    order = torch.randperm(20)
    shuffled = x.flatten(2)[..., order].view(1, 128, 4, 5)
    y, states = mixer(x)
    y_shuffled, states_shuffled = mixer(shuffled)
    torch.testing.assert_close(states_shuffled, states)
    torch.testing.assert_close(y_shuffled.flatten(2), y.flatten(2)[..., order])


def test_targets_are_maps_on_the_way_to_the_logits():
    model = timm.create_model("efficientvim_m1").eval()
    tokens = token_grid(model)
    got = {}
    for name in tokens.targets:
        model.get_submodule(name).register_forward_hook(
            lambda _m, _x, y, name=name: got.update({name: y})
        )
    logit = model(torch.randn(1, 3, 224, 224))[0, 0]
    shapes = [tokens.to_nchw(got[name]).shape for name in tokens.targets]
    of_stages = [(1, 128, 14, 14), (1, 192, 7, 7), (1, 320, 4, 4)]
    assert shapes == [
        shape for i, shape in enumerate(of_stages) for _ in range(model.stages[i].depth)
    ]
    gradients = torch.autograd.grad(logit, [got[name] for name in tokens.targets])
    assert all(gradient.abs().max() > 0 for gradient in gradients)
    assert got[tokens.default_target].shape[2:] == (7, 7)
