"""Two processes train what one does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import fields, replace

import pytest
import torch
from torch import nn

from mambaout.training.augment import augment
from mambaout.training.config import TrainingError
from mambaout.training.data import load_dataset
from mambaout.training.loop import train
from mambaout.training.processes import ALONE, Processes
from mambaout.training.state import LAST
from tests.free_port import free_port

CPU = torch.device("cpu")


def quiet(line):
    """Progress that nobody reads."""


def started_by_torchrun(count, recipe, pictures, out, cache, *more):
    """The command in ``count`` processes, as torchrun would start them; their return codes."""
    options = [
        f"--{field.name.replace('_', '-')}={getattr(recipe, field.name)}"
        for field in fields(recipe)
        if field.name != "init"
    ]
    command = [sys.executable, "-m", "mambaout.training", f"--data={pictures}", f"--out={out}"]
    command += [f"--cache={cache}", "--device=cpu", "--threads=1", *options, *more]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count)}
    started = [
        subprocess.Popen(
            command,
            env={**os.environ, **place, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    said = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0] * count, said
    return said


def state(out):
    return torch.load(out / LAST, weights_only=True)


def test_two_processes_give_the_weights_of_one_and_go_on_where_they_were(
    recipe, pictures, tmp_path
):
    recipe = replace(recipe, epochs=4, drop_path_rate=0.0)
    data = load_dataset(pictures, recipe, tmp_path / "cache", quiet)
    alone = train(recipe, data, tmp_path / "alone", device=CPU, report=quiet)

    class Enough(Exception):
        pass

    def stop(line):
        if line.startswith("epoch 2/"):
            raise Enough

    with pytest.raises(Enough):  # one process begins, two go on
        train(recipe, data, tmp_path / "two", device=CPU, report=stop)
    begun = state(tmp_path / "two")
    assert begun["epoch"] == 2
    first, second = started_by_torchrun(
        2, recipe, pictures, tmp_path / "two", tmp_path / "cache", f"--export={tmp_path / 'made'}"
    )
    assert "holds this run, after epoch 2 of 4" in first
    assert "2 processes" in first
    assert "epoch 4/4" in first
    assert "epoch" not in second
    one, two = state(tmp_path / "alone"), state(tmp_path / "two")
    for name, weights in one["model"].items():
        moved = (weights - begun["model"][name]).abs().max()
        apart = (weights - two["model"][name]).abs().max()
        assert moved > 1e-4, name
        assert apart < 0.02 * moved, name
    losses = [[entry["loss"] for entry in run["history"]] for run in (one, two)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    assert one["history"][-1]["ema_top1"] == two["history"][-1]["ema_top1"]
    card = json.loads((tmp_path / "made" / "test_mambaout.tiny_imagenet.json").read_text("utf-8"))
    assert card["val_top1"] == alone.history[-1]["ema_top1"]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_shares_are_a_batch_in_pairs_that_mix_with_each_other(count):
    shares = [Processes(rank, count).share(12) for rank in range(count)]
    assert sorted(torch.cat(shares).tolist()) == list(range(12))
    for share in shares:
        assert (share + share.flip(0) == 11).all()
    assert ALONE.share(12).tolist() == list(range(12))


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(TrainingError, match=r"multiple of 8, got 12"):
        Processes(0, 4).share(12)


def test_parts_of_a_sequence_are_all_of_it():
    parts = [Processes(rank, 3).part(10) for rank in range(3)]
    assert [i for part in parts for i in range(10)[part]] == list(range(10))


def test_a_share_is_augmented_as_it_would_be_among_the_others(recipe):
    images = torch.randint(0, 256, (12, 3, 32, 32), dtype=torch.uint8)
    mean, std = torch.full((3,), 0.5), torch.full((3,), 0.25)

    def changed(*arguments, **options):
        generator = torch.Generator().manual_seed(3)
        return augment(*arguments, recipe, 32, mean, std, generator, **options)

    whole = changed(images)
    share = Processes(1, 3).share(12)
    part = changed(images[share], share=share, batch=12)
    torch.testing.assert_close(part, whole[share])
    assert (changed(images[share]) - whole[share]).abs().max() > 0.1


def test_alone_nothing_is_averaged():
    model = nn.Linear(2, 1)
    model(torch.ones(1, 2)).backward()
    before = model.weight.grad.clone()
    ALONE.average_gradients(model)
    assert torch.equal(model.weight.grad, before)
