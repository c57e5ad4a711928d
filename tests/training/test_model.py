from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mambaout.training.config import Recipe, TrainingError
from mambaout.training.model import build


@pytest.mark.parametrize("name", ["mambaout_atto", "vim_atto"])
def test_a_miniature_takes_every_size_of_its_run_and_learns_in_each_mixing(name):
    for mixing in ("bidirectional", "causal"):
        model = build(Recipe(model=name, mixing=mixing), 5).train()
        for size in (32, 64):
            logits = model(torch.randn(2, 3, size, size))
            assert logits.shape == (2, 5)
        logits.square().sum().backward()
        assert sum(p.grad is not None for p in model.parameters()) > 20


@pytest.mark.parametrize("name", ["mambaout_atto", "vim_atto"])
def test_causal_weights_are_named_and_initialised_as_bidirectional_ones(name):
    recipe = Recipe(model=name)
    one, other = (build(replace(recipe, mixing=m), 5) for m in ("bidirectional", "causal"))
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(other.state_dict()[key], v) for key, v in one.state_dict().items())
    x = torch.randn(2, 3, 64, 64)
    assert not torch.allclose(one.eval()(x), other.eval()(x))


def test_the_seed_decides_the_first_weights(recipe):
    first, again, other = (build(replace(recipe, seed=s), 5) for s in (0, 0, 1))
    pairs = zip(first.parameters(), again.parameters(), other.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not torch.equal(first.state_dict()["stem.conv1.weight"], other.stem.conv1.weight)


def test_an_unknown_model_is_refused_with_examples():
    with pytest.raises(TrainingError, match=r"knows no model 'vim_attoo'.*vim_atto"):
        build(Recipe(model="vim_attoo"), 5)


def test_a_family_without_a_causal_form_is_refused_with_the_reason():
    with pytest.raises(TrainingError, match=r"test_resnet cannot be trained causally: .+"):
        build(Recipe(model="test_resnet", mixing="causal"), 5)
