from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from mambaout.training.config import TrainingError
from mambaout.training.state import RunState, load_state, save_state


@pytest.fixture
def state():
    weights = {"weight": torch.arange(3.0)}
    return RunState(weights, weights, {"state": {}}, 2, 8, 1.5, [{"epoch": 1}, {"epoch": 2}])


def test_a_state_comes_back_as_it_was(state, recipe, tmp_path):
    assert load_state(tmp_path, recipe, "digest") is None
    save_state(tmp_path, state, recipe, "digest")
    back = load_state(tmp_path, recipe, "digest")
    assert torch.equal(back.model["weight"], state.model["weight"])
    assert (back.epoch, back.step, back.seconds, back.history) == (2, 8, 1.5, state.history)
    log = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in log] == state.history


def test_another_recipe_is_refused_with_what_differs(state, recipe, tmp_path):
    save_state(tmp_path, state, recipe, "digest")
    with pytest.raises(TrainingError, match=r"lr: 0\.002 there, 0\.1 now.*another --out"):
        load_state(tmp_path, replace(recipe, lr=0.1), "digest")


def test_other_pictures_are_refused(state, recipe, tmp_path):
    save_state(tmp_path, state, recipe, "digest")
    with pytest.raises(TrainingError, match="data: 'digest' there, 'other' now"):
        load_state(tmp_path, recipe, "other")
