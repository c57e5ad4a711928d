"""Answers compared by what their classes are, not by where they stand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import timm
import torch

from mambaout import with_mixing
from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.evaluation.comparison import ask, with_heat, with_trace
from mambaout.evaluation.said import Answered, Said, difference

CLASSES = Vocabulary(tuple("abcdefg"), tuple(f"n{i}" for i in range(7)))
FIRST = Said(CLASSES, np.array([0.4, 0.2, 0.1, 0.1, 0.1, 0.06, 0.04], np.float32))


def test_the_best_come_first_and_of_equal_ones_the_first():
    assert FIRST.top == 0
    assert FIRST.best() == [0, 1, 2, 3, 4]
    assert FIRST.keys(2) == ["n0", "n1"]


def test_the_same_classes_in_another_order_are_the_same():
    order = [6, 5, 4, 3, 2, 1, 0]
    turned = Said(
        Vocabulary(tuple(CLASSES.labels[i] for i in order), tuple(CLASSES.keys[i] for i in order)),
        FIRST.probabilities[order],
    )
    found = difference(FIRST, turned)
    assert (found.same_top, found.common) == (True, 5)
    assert found.kl == found.js == 0


def test_a_flip_and_its_divergence():
    second = Said(CLASSES, np.array([0.2, 0.4, 0.1, 0.1, 0.1, 0.06, 0.04], np.float32))
    found = difference(FIRST, second)
    assert (found.same_top, found.common) == (False, 5)
    assert found.kl == pytest.approx(0.2 * math.log(2), rel=1e-6)


def test_other_classes_have_no_divergence():
    found = difference(FIRST, Said(Vocabulary(("a", "z"), ("n0", "n99")), np.array([0.9, 0.1])))
    assert (found.same_top, found.common) == (True, 1)
    assert found.kl is None
    assert found.js is None


def test_explanations_or_reasons_are_added():
    model = timm.create_model("mambaout_atto", num_classes=7).eval()
    image = torch.randn(1, 3, 64, 64)
    causal = with_mixing(model, "causal")
    said = ask(causal, image, CLASSES)
    assert said.probabilities.sum() == pytest.approx(1)
    answer = Answered("only", "mambaout_atto", "causal", said)
    explained = with_heat(answer, causal, image, 3, method="hirescam")
    assert explained.heat is not None
    assert explained.heat.class_index == 3
    # Without a class it is the first choice of this answer, whatever that of others is.
    assert with_heat(answer, causal, image, method="hirescam").heat.class_index == said.top
    assert "method must be one of" in with_heat(answer, causal, image, method="none such").no_heat
    traced = with_trace(answer, causal, image)
    assert traced.trace is None
    assert "no scan" in traced.no_trace
