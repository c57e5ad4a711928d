"""A view is a deep copy of everything but the tensors."""

from __future__ import annotations

import copy

import torch
from torch import nn

from mambaout.models import share_weights


class Holder(nn.Module):
    """What a copy can get wrong: modules named twice, settings in containers, an own copier."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.again = self.first
        self.norm = nn.BatchNorm1d(3)
        self.order = [self.norm, self.first]
        self.options = {"paths": ["row"], "empty": {}}
        self.copied = Copied()

    def forward(self, x):
        for layer in self.order:
            x = layer(x)
        return x


class Copied(nn.Module):
    def __deepcopy__(self, memo):
        twin = Copied()
        twin.by_itself = True
        return twin


def test_modules_are_new_and_tensors_the_same():
    model = Holder().eval()
    view = share_weights(model)
    assert type(view) is Holder
    assert not {id(m) for m in model.modules()} & {id(m) for m in view.modules()}
    for (name, mine), (other_name, theirs) in zip(
        model.state_dict(keep_vars=True).items(),
        view.state_dict(keep_vars=True).items(),
        strict=True,
    ):
        assert name == other_name
        assert mine is theirs
    assert view.again is view.first
    assert view.order == [view.norm, view.first]
    assert view.copied.by_itself
    assert not view.training
    x = torch.randn(4, 3)
    assert torch.equal(view(x), model(x))


def test_switches_and_hooks_do_not_reach_the_other():
    model = Holder()
    model.first.register_forward_hook(lambda *_: None)
    view = share_weights(model)
    assert len(view.first._forward_hooks) == 1  # as in a deep copy
    view.norm.register_forward_hook(lambda *_: None)
    view.options["paths"].append("column")
    view.options["empty"]["now"] = "full"
    view.eval()
    assert not model.norm._forward_hooks
    assert model.options == {"paths": ["row"], "empty": {}}
    assert model.training


def test_has_all_that_a_deep_copy_has():
    model = Holder()
    view, twin = share_weights(model), copy.deepcopy(model)
    for mine, theirs in zip(view.modules(), twin.modules(), strict=True):
        assert mine.__dict__.keys() == theirs.__dict__.keys()
        for name in ("_forward_hooks", "_parameters", "_modules", "_buffers"):
            assert type(mine.__dict__[name]) is type(theirs.__dict__[name])
