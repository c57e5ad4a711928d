"""Faithfulness against answers that can be worked out, and against pytorch-grad-cam's ROAD."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pytorch_grad_cam.metrics.road import (
    NoisyLinearImputer,
    ROADLeastRelevantFirst,
    ROADMostRelevantFirst,
)
from torch import nn

from mambaout.errors import ExplanationError
from mambaout.evaluation import faithfulness
from mambaout.evaluation.imputation import imputed
from mambaout.explain import Explanation, grad_cam
from tests.explain.guests import busy_model, left_as_found, picture

GRID = (3, 4)
SIDE = 8


class SumsCells(nn.Module):
    """Two logits: of the first, each cell of the grid contributes its mean times its weight."""

    def __init__(self):
        super().__init__()
        rng = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(GRID, generator=rng))

    def contributions(self, x):
        return nn.functional.avg_pool2d(x.mean(1, keepdim=True), SIDE)[:, 0] * self.weight

    def forward(self, x):
        logit = self.contributions(x).sum((1, 2))
        return torch.stack([logit, torch.zeros_like(logit), logit - 50], dim=1)


@pytest.fixture
def model():
    return SumsCells().requires_grad_(False)


@pytest.fixture
def image(model):
    """Cells of one colour each, with noise, on which the two classes are about as likely."""
    rng = torch.Generator().manual_seed(1)
    cells = torch.randn(1, 3, *GRID, generator=rng).repeat_interleave(SIDE, 2)
    cells = 3 * cells.repeat_interleave(SIDE, 3)
    image = cells + 0.1 * torch.randn(cells.shape, generator=rng)
    toward = model.weight.repeat_interleave(SIDE, 0).repeat_interleave(SIDE, 1)
    surplus = model.contributions(image).sum() / model.weight.square().sum()
    return image - (surplus - 0.1) * toward


def a_map(values, class_index=0, versus=None):
    values = np.asarray(values, np.float32)
    return Explanation(values, "logit", True, "hirescam", "", class_index, versus=versus)


def probability(model, image):
    return model(image).softmax(-1)[0, 0].item()


def test_deletion_by_hand(model, image):
    parts = model.contributions(image)[0]
    left = parts.flatten().sort().values.cumsum(0).flip(0)  # the largest go first
    expected = torch.cat([left, torch.zeros(1)]).sigmoid().numpy()
    assert expected[0] > expected.min() + 0.2

    got = faithfulness(model, image, a_map(parts), steps=12)
    np.testing.assert_allclose(got.deletion_curve, expected, atol=1e-5)
    np.testing.assert_allclose(got.shares, np.arange(13) / 12)
    area = (expected[1:] + expected[:-1]).sum() / 24
    assert got.deletion == pytest.approx(area, abs=1e-5)
    assert got.class_index == 0


def test_insertion_goes_from_a_blur_to_the_picture(model, image):
    parts = model.contributions(image)[0]
    got = faithfulness(model, image, a_map(parts), steps=12)
    assert got.insertion_curve[-1] == pytest.approx(probability(model, image))
    start = got.insertion_curve[0]
    assert abs(start - got.insertion_curve[-1]) > 0.05
    backwards = faithfulness(model, image, a_map(-parts), steps=12)
    assert backwards.insertion_curve[0] == pytest.approx(start)
    # Half of the cells in front of the blur: the half that speaks for the class, or the other.
    assert got.insertion_curve[6] > start > backwards.insertion_curve[6]


def test_the_true_map_is_more_faithful_than_others(model, image):
    parts = model.contributions(image)[0]
    true = faithfulness(model, image, a_map(parts))
    rng = np.random.default_rng(0)
    for _ in range(10):
        other = faithfulness(model, image, a_map(rng.permutation(parts.flatten()).reshape(GRID)))
        assert true.deletion < other.deletion
        assert true.insertion > other.insertion
        assert true.road > other.road
    opposite = faithfulness(model, image, a_map(-parts))
    assert opposite.road == pytest.approx(-true.road)
    assert true.road > 0.2


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
def test_road_is_the_package_s(model, image):
    """But for its noise, which comes from the global generator there."""
    parts = model.contributions(image)[0].numpy()
    shares = (0.25, 0.5, 0.75)
    got = faithfulness(model, image, a_map(parts), road_shares=shares)
    across = parts.repeat(SIDE, 0).repeat(SIDE, 1)[None]

    def theirs(metric, percentile):
        # Just above a value of the map: which of its cells are gone does not depend on rounding.
        metric = metric(percentile + 0.1)
        target = [lambda logits: logits.softmax(-1)[0]]
        return metric(image, across, target, model, return_diff=False)[0]

    most = [theirs(ROADMostRelevantFirst, 100 - 100 * s) for s in shares]
    least = [theirs(ROADLeastRelevantFirst, 100 - 100 * s) for s in shares]
    assert min(np.subtract(least, most)) > 0.1
    np.testing.assert_allclose(got.most_first, most, atol=0.01)
    np.testing.assert_allclose(got.least_first, least, atol=0.01)
    assert got.road == pytest.approx(np.mean(least) - np.mean(most), abs=0.01)


def test_what_is_filled_in_is_the_mean_of_its_neighbours():
    image = torch.randn(3, 9, 11)
    missing = torch.zeros(9, 11, dtype=torch.bool)
    missing[2:6, 3:9] = missing[0, 0] = True

    def fill(seed):
        return imputed(image[None], missing[None], seed)[0]

    filled = fill(0)
    assert torch.equal(filled[:, ~missing], image[:, ~missing])
    kernel = torch.tensor([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12
    around = nn.functional.conv2d(filled[:, None], kernel[None, None], padding=1)[:, 0]
    inside = missing.clone()
    inside[0, 0] = False
    assert (filled - around)[:, inside].abs().max() < 0.06  # five standard deviations of the noise
    assert (filled - around)[:, inside].std() > 0.005
    assert (image - around)[:, inside].std() > 0.5
    assert torch.equal(fill(0), filled)
    assert not torch.equal(fill(1), filled)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_imputation_is_the_package_s(share):
    """Without its noise. Pictures of a batch do not mix, also if one is done before another."""
    pictures = torch.randn(2, 3, 30, 40).cumsum(2)
    missing = torch.rand(2, 30, 40) < torch.tensor([share, 0.02])[:, None, None]
    ours = imputed(pictures, missing, seed=0)
    for whole, gone, got in zip(pictures, missing, ours, strict=True):
        theirs = NoisyLinearImputer(noise=0)(whole, (~gone).float())
        assert (theirs - whole)[:, gone].abs().mean() > 0.3
        assert (got - theirs).abs().max() < 0.06
        assert (got - theirs)[:, gone].std() == pytest.approx(0.01, rel=0.3)


def test_a_contrast_is_between_two(model, image):
    parts = model.contributions(image)[0]
    against_none = faithfulness(model, image, a_map(parts, class_index=0))
    against = faithfulness(model, image, a_map(parts, class_index=0, versus=2))
    assert against.versus == 2
    np.testing.assert_allclose(against.deletion_curve, 1, atol=1e-6)  # 50 logits apart
    assert against_none.deletion_curve.min() < 0.5


def test_without_a_class_the_first_choice_counts(model, image):
    choice = model(image).argmax().item()
    got = faithfulness(model, image, a_map(model.contributions(image)[0], class_index=None))
    assert got.class_index == choice
    assert got.deletion_curve[0] == pytest.approx(model(image).softmax(-1)[0, choice].item())


@pytest.mark.parametrize("family", ["mambaout", "vim"])
def test_the_model_is_left_as_it_was_found_and_nothing_depends_on_chance(family):
    model = busy_model(family)
    explanation = grad_cam(model, picture(), 1, method="hirescam")
    steps = []
    with left_as_found(model):
        torch.manual_seed(0)
        first = faithfulness(
            model, picture(), explanation, progress=lambda *step: steps.append(step)
        )
        state = torch.get_rng_state()
        torch.manual_seed(0)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(1)
        again = faithfulness(model, picture(), explanation)
    assert steps[-1] == (32, 32)
    for name in ("deletion_curve", "insertion_curve", "most_first", "least_first"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert 0 <= first.deletion <= 1
    assert first.deletion_curve.std() > 0


def test_what_cannot_be_measured_is_said(model, image):
    explanation = a_map(np.eye(3, 4))
    for arguments, words in (
        ({"steps": 0}, "steps must be at least 1"),
        ({"road_shares": ()}, "road_shares must be between 0 and 1"),
        ({"road_shares": (0.5, 1.0)}, "road_shares must be between 0 and 1"),
    ):
        with pytest.raises(ExplanationError, match=words):
            faithfulness(model, image, explanation, **arguments)
    with pytest.raises(ExplanationError, match="one picture"):
        faithfulness(model, image.repeat(2, 1, 1, 1), explanation)
    with pytest.raises(ExplanationError, match="class 7, got an answer over 3 classes"):
        faithfulness(model, image, replace(explanation, class_index=7))
