from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from mambaout.training.config import TrainingError
from mambaout.training.data import Split, load_dataset
from mambaout.training.loop import Pace, evaluate, train
from mambaout.training.model import build
from mambaout.training.state import LAST, load_state

CPU = torch.device("cpu")


def quiet(line):
    """Progress that nobody reads."""


@pytest.fixture
def data(pictures, recipe, tmp_path):
    return load_dataset(pictures, recipe, tmp_path / "cache", quiet)


def run(recipe, data, out, **options):
    return train(recipe, data, out, device=CPU, report=options.pop("report", quiet), **options)


class Interrupted(Exception):
    pass


def interrupt_after(epoch):
    def report(line):
        if line.startswith(f"epoch {epoch}/"):
            raise Interrupted

    return report


def same(first, second):
    assert first.keys() == second.keys()
    return all(torch.equal(first[key], second[key]) for key in first)


def test_colours_are_learnt(data, recipe, tmp_path):
    before = evaluate(build(recipe, 3), data.val, 32)
    result = run(replace(recipe, epochs=8, sizes="32:1"), data, tmp_path / "run")
    after = evaluate(result.model, data.val, 32)
    assert before.top1 <= 12  # of 18; a third by chance
    assert after.top1 >= 17
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert result.history[-1]["ema_top1"] == after.top1 / after.count


def test_a_resumed_run_gives_the_weights_of_an_uninterrupted_one(data, recipe, tmp_path):
    whole = run(recipe, data, tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(recipe, data, tmp_path / "cut", report=interrupt_after(2))
    assert load_state(tmp_path / "cut", recipe, data.digest).epoch == 2
    torch.manual_seed(99)  # what the caller did meanwhile must not matter
    resumed = run(recipe, data, tmp_path / "cut")
    assert same(resumed.model.state_dict(), whole.model.state_dict())
    assert [e["loss"] for e in resumed.history] == [e["loss"] for e in whole.history]
    other = run(replace(recipe, seed=1), data, tmp_path / "other")
    assert not same(other.model.state_dict(), whole.model.state_dict())


def test_a_run_killed_at_any_moment_goes_on_where_it_was(pictures, data, recipe, tmp_path):
    recipe = replace(recipe, epochs=12)
    out = tmp_path / "killed"
    options = [
        f"--{field.name.replace('_', '-')}={getattr(recipe, field.name)}"
        for field in fields(recipe)
    ]
    command = [sys.executable, "-m", "mambaout.training", f"--data={pictures}", f"--out={out}"]
    with subprocess.Popen(
        [*command, *options, "--threads=1", "--device=cpu"], stdout=subprocess.DEVNULL
    ) as process:
        while not (out / LAST).is_file():
            assert process.poll() is None, "the run ended before its first epoch"
            time.sleep(0.01)
        time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    stopped = load_state(out, recipe, data.digest)
    assert 1 <= stopped.epoch < 12
    resumed = run(recipe, data, out)
    whole = run(recipe, data, tmp_path / "whole")
    assert same(resumed.model.state_dict(), whole.model.state_dict())


def test_a_finished_run_is_not_trained_again(data, recipe, tmp_path):
    first = run(recipe, data, tmp_path / "run")
    again = run(recipe, data, tmp_path / "run")
    assert same(again.model.state_dict(), first.model.state_dict())
    assert len(again.history) == recipe.epochs


def test_a_run_can_be_taken_as_it_is(data, recipe, tmp_path):
    with pytest.raises(TrainingError, match=r"no run in .* has finished an epoch"):
        run(recipe, data, tmp_path / "run", further=False)
    with pytest.raises(Interrupted):
        run(recipe, data, tmp_path / "run", report=interrupt_after(1))
    assert len(run(recipe, data, tmp_path / "run", further=False).history) == 1


def test_training_leaves_torchs_generator_where_it_was(data, recipe, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(replace(recipe, epochs=1, sizes="16:1"), data, tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_averaged_weights_lag_behind(data, recipe, tmp_path):
    run(recipe, data, tmp_path / "run")
    state = load_state(tmp_path / "run", recipe, data.digest)
    assert not same(state.model, state.ema)


def test_bfloat16_trains_in_float32_weights(data, recipe, tmp_path):
    short = replace(recipe, epochs=1, sizes="32:1", precision="bfloat16")
    result = run(short, data, tmp_path / "half")
    full = run(replace(short, precision="float32"), data, tmp_path / "full")
    assert {p.dtype for p in result.model.parameters()} == {torch.float32}
    assert not same(result.model.state_dict(), full.model.state_dict())


def test_bfloat16_on_a_cpu_refuses_sizes_whose_gradients_are_wrong_there(data, recipe, tmp_path):
    with pytest.raises(TrainingError, match=r"at least 32 pixels.*got 16"):
        run(replace(recipe, precision="bfloat16"), data, tmp_path / "run")


def test_a_loss_that_is_no_number_stops_the_run(data, recipe, tmp_path):
    with pytest.raises(TrainingError, match=r"the loss is (nan|inf) in epoch \d+; lower --lr"):
        run(replace(recipe, lr=1e30, clip_grad=1e30, warmup_epochs=0), data, tmp_path / "run")


def test_too_few_pictures_for_a_batch_are_refused(data, recipe, tmp_path):
    with pytest.raises(TrainingError, match="48 training pictures are less than one batch of 64"):
        run(replace(recipe, batch_size=64), data, tmp_path / "run")


class Brightness(nn.Module):
    """Answers class 1 for bright pictures, in whatever mode; counts how often it was training."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.modes = set()

    def forward(self, x):
        self.modes.add(self.training)
        level = x.mean((1, 2, 3))
        return torch.stack([-level, level, torch.full_like(level, -9), -9 - level], dim=1)


def test_accuracy_is_counted_by_hand_and_the_mode_put_back():
    images = torch.tensor([0, 255, 0, 255, 0], dtype=torch.uint8).view(5, 1, 1, 1)
    labels = torch.tensor([0, 1, 1, 1, 2])  # three right
    model = Brightness().train()
    score = evaluate(model, Split(images.expand(5, 3, 8, 8), labels), 8, batch_size=2)
    assert (score.top1, score.top5, score.count) == (3, 5, 5)
    assert model.modes == {False}
    assert model.training


def test_time_left_grows_with_the_pixels(recipe):
    pace = Pace(replace(recipe, epochs=4, sizes="16:0.5,32:0.5"))
    pace.add(0, 2.0)
    assert pace.left(1) == pytest.approx(2 + 8 + 8)
