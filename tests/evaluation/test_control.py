"""The randomised-weights control, on maps that depend on the weights and on one that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mambaout.errors import ExplanationError
from mambaout.evaluation import randomised_control
from mambaout.evaluation.control import _redrawn
from mambaout.explain import grad_cam
from mambaout.explain.map_agreement import rank_correlation
from tests.explain.guests import FAMILIES, busy_model, left_as_found, picture
from tests.models.causality import redrawn


@pytest.fixture(params=FAMILIES)
def model(request):
    return redrawn(FAMILIES[request.param]())


def test_the_classifier_alone(model):
    explanation = grad_cam(model, picture(), 1, method="hirescam")
    got = randomised_control(model, picture(), explanation)
    assert got.redrawn == ("classifier",)
    forgetful = _redrawn(model, len(list(model.parameters())) - 2, seed=0)
    weight, as_it_was = (m.get_classifier().weight for m in (forgetful, model))
    assert not torch.equal(weight, as_it_was)
    assert torch.equal(weight.flatten().sort().values, as_it_was.flatten().sort().values)
    expected = grad_cam(forgetful, picture(), 1, method="hirescam").values
    assert got.rank_correlations == (rank_correlation(explanation.values, expected),)
    assert abs(got.rank_correlations[0]) < 0.9
    assert got.reasons == ("",)
    assert randomised_control(model, picture(), explanation) == got
    assert randomised_control(model, picture(), explanation, seed=1) != got


def test_a_map_that_knows_no_class_does_not_mind_a_forgetful_classifier(model):
    """Eigen-CAM never asks the classifier: the control must say so."""
    explanation = grad_cam(model, picture(), method="eigencam")
    got = randomised_control(model, picture(), explanation, cascade=True)
    assert got.rank_correlations[0] == pytest.approx(1)
    assert abs(got.rank_correlations[-1]) < 0.95


def test_the_cascade_goes_from_the_classifier_to_the_first_block(model):
    explanation = grad_cam(model, picture(), 1, method="hirescam")
    steps = []
    got = randomised_control(
        model, picture(), explanation, cascade=True, progress=lambda *step: steps.append(step)
    )
    last, first = got.redrawn[1], got.redrawn[-1]
    assert got.redrawn[0] == "classifier"
    assert (last, first) in {("stages.2", "stages.0"), ("layers.2", "layers.0")}
    assert steps == [(i + 1, 4) for i in range(4)]
    assert len(set(got.rank_correlations)) == 4
    assert np.isfinite(got.rank_correlations).all()


def test_a_map_that_vanishes_is_said(model):
    """No class has evidence where the classifier's weights are all the same negative number."""
    explanation = grad_cam(model, picture(), 1, method="gradcam")
    head = model.get_classifier()
    with torch.no_grad():
        head.weight.zero_()
    got = randomised_control(model, picture(), explanation)
    assert np.isnan(got.rank_correlations[0])
    assert "zero everywhere" in got.reasons[0]


def test_the_model_is_left_as_it_was_found():
    for family in FAMILIES:
        model = busy_model(family)
        explanation = grad_cam(model, picture(), 1, method="hirescam")
        with left_as_found(model):
            randomised_control(model, picture(), explanation, cascade=True)


def test_a_map_of_another_model_is_refused(model):
    explanation = grad_cam(model, picture(), 1, method="hirescam")
    for change in ({"layer": "blocks.9"}, {"method": "token reads"}):
        with pytest.raises(ExplanationError, match="expected a map by grad_cam of one of"):
            randomised_control(model, picture(), replace(explanation, **change))
