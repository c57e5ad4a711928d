"""In which precision models answer: what is checked, what is said, what stays float32."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from app import markup, precision, text
from app.compare.request import compare
from app.examples import examples
from app.precision import TOLERANCE, Precision, choose_precision
from app.store import DEFAULT_PAIR, ModelStore


@pytest.fixture(scope="module")
def trained():
    """The bundled pair, answering in bfloat16 as far as it may."""
    return ModelStore("cpu", precision="bfloat16")


@pytest.mark.parametrize("name", DEFAULT_PAIR)
def test_answers_in_bfloat16_are_those_of_float32_within_the_tolerance(trained, name):
    model, full = trained.get(name), ModelStore("cpu").get(name)
    assert model.precision.name == "bfloat16"
    assert model.precision.checked == 2 * len(examples())
    assert 0 < model.precision.off <= TOLERANCE
    assert full.precision == Precision()
    assert all(p.dtype == torch.float32 for p in model.model.parameters())
    for example in examples():
        said, right = (
            one.says(one.view("causal"), one.input_of(example.open())) for one in (model, full)
        )
        moved = np.abs(said.probabilities - right.probabilities).max()
        assert 0 < moved <= model.precision.off
        assert said.top == right.top


def test_what_explains_an_answer_stays_float32(trained):
    shown = examples()[0].open()
    *_, (half, _) = compare(trained, shown, DEFAULT_PAIR, "causal")
    *_, (full, _) = compare(ModelStore("cpu"), shown, DEFAULT_PAIR, "causal")
    for one, other in zip(half.sides, full.sides, strict=True):
        assert not np.array_equal(one.answer.probabilities, other.answer.probabilities)
        assert np.array_equal(one.heat.values, other.heat.values)
        for a, b in zip(one.trace or (), other.trace or (), strict=True):
            assert np.array_equal(a.state_norm, b.state_norm)
    assert "Answers in bfloat16" in markup.card_facts(half.sides[0])
    assert "bfloat16" not in markup.card_facts(full.sides[0])


class Fickle(torch.nn.Module):
    """Says something else in bfloat16 to pictures that are bright enough."""

    def __init__(self, brightness, logit=9.0):
        super().__init__()
        self.brightness, self.logit = brightness, logit

    def forward(self, image):
        half = torch.is_autocast_enabled(image.device.type)
        logits = torch.zeros(len(image), 3)
        logits[:, 1 if half and image.mean() > self.brightness else 0] = self.logit
        return logits


class Model:
    """What is asked for of a loaded model."""

    def __init__(self, *views, device="cpu"):
        self.device, self._views = device, list(views)

    def views(self):
        return self._views

    def input_of(self, picture):
        return torch.tensor(np.asarray(picture.resize((8, 8))), dtype=torch.float32).mean(2)[None]


@pytest.mark.parametrize("logit", [9.0, 0.01])  # the second moves no probability by much
def test_a_model_whose_answer_would_change_keeps_float32_and_says_so(logit):
    brightness = sorted(Model().input_of(e.open()).mean().item() for e in examples())
    model = Model(Fickle(1e9), Fickle(brightness[-2], logit))
    chosen = choose_precision("bfloat16", model)
    assert chosen == Precision("float32", 2 * len(brightness), changed=1)
    assert f"1 of {2 * len(brightness)} answers" in text.precision(chosen)
    assert choose_precision("bfloat16", Model(Fickle(1e9))).name == "bfloat16"


@pytest.mark.parametrize(
    ("device", "computes", "faster", "name"),
    [
        ("cuda", True, True, "bfloat16"),
        ("cuda", True, False, "float32"),
        ("cuda", False, True, "float32"),
        ("mps", True, True, "float32"),
        ("cpu", True, True, "float32"),
    ],
)
def test_auto_takes_it_on_a_cuda_device_where_it_pays(device, computes, faster, name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: computes)
    monkeypatch.setattr(precision, "_faster", lambda view, image: faster)
    chosen = choose_precision("auto", Model(Fickle(1e9), device=device))
    assert chosen.name == name
    assert chosen.slow == (device == "cuda" and computes and not faster)
    assert bool(text.precision(chosen)) == (device == "cuda" and computes)
    assert choose_precision("float32", Model(Fickle(1e9), device=device)) == Precision()


@pytest.mark.parametrize(
    ("cuda", "mps", "device"),
    [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")],
)
def test_the_device_is_the_best_that_is_there(cuda, mps, device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert ModelStore("auto").device == device
    assert ModelStore("auto").at_once == (1 if device == "cpu" else 8)
    assert ModelStore("cpu").device == "cpu"
