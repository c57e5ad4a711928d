from __future__ import annotations

import itertools

import pytest

from mambaout.training.config import Recipe, TrainingError


def test_sizes_are_shares_of_the_epochs():
    recipe = Recipe(model="m", epochs=10, sizes="32:0.6,48:0.2,64:0.2")
    assert [recipe.size_at(epoch) for epoch in range(10)] == [32] * 6 + [48] * 2 + [64] * 2
    assert recipe.final_size == 64


def test_every_epoch_has_a_size_however_the_shares_round():
    for epochs in range(1, 30):
        recipe = Recipe(model="m", epochs=epochs, sizes="32:0.1,48:0.2,64:0.7")
        sizes = [recipe.size_at(epoch) for epoch in range(epochs)]
        assert sizes == sorted(sizes)
        assert sizes[-1] == 64


def test_pictures_are_kept_at_the_largest_size_not_the_last():
    recipe = Recipe(model="m", sizes="64:0.5,32:0.5")
    assert (recipe.picture_size, recipe.final_size) == (64, 32)


@pytest.mark.parametrize(
    "sizes", ["32", "32:0.6", "32:0.6,64:0.5", "32:x", "4:1", "32:1.5,64:-0.5"]
)
def test_sizes_that_make_no_sense_are_refused_with_an_example(sizes):
    with pytest.raises(TrainingError, match=r"sizes must"):
        Recipe(model="m", sizes=sizes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mixing", "both"),
        ("precision", "float16"),
        ("epochs", 0),
        ("batch_size", 7),
        ("crop_area", 0.0),
        ("limit_train", -1),
    ],
)
def test_a_recipe_refuses_what_it_cannot_do_and_says_what_came(field, value):
    with pytest.raises(TrainingError, match=f"{field} must.*{value}"):
        Recipe(model="m", **{field: value})


def test_the_learning_rate_rises_in_a_line_and_falls_in_half_a_cosine():
    recipe = Recipe(model="m", epochs=10, warmup_epochs=2, lr=1.0, min_lr=0.1)
    rates = [recipe.learning_rate(step, 50) for step in range(500)]
    warmup, rest = rates[:100], rates[100:]
    rises = [b - a for a, b in itertools.pairwise(warmup)]
    assert max(rises) == pytest.approx(min(rises))
    assert rest[0] == pytest.approx(1.0)
    assert rest == sorted(rest, reverse=True)
    assert rest[200] == pytest.approx((1.0 + 0.1) / 2)
    assert rest[-1] == pytest.approx(0.1, abs=1e-3)


def test_no_warm_up_starts_at_the_full_rate():
    assert Recipe(model="m", warmup_epochs=0, lr=0.5).learning_rate(0, 10) == pytest.approx(0.5)
