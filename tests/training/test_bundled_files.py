"""The bundled weights still answer what their cards say.

Offline, by drawn patterns (`mambaout.evaluation.probe` says what that proves and what not). With a
copy of Tiny-ImageNet, which may not be part of this repository, by the accuracy itself:

    MAMBAOUT_TINY_IMAGENET=FOLDER python -m pytest tests/training/test_bundled_files.py
"""

from __future__ import annotations

import json
import os
from dataclasses import fields
from pathlib import Path

import pytest
import timm
import torch

from mambaout.catalogue.bundled import bundled_card, bundled_directory
from mambaout.evaluation.probe import probe_digest, probe_logits, probe_pictures
from mambaout.models.mixing import with_mixing
from mambaout.training.config import Recipe
from mambaout.training.data import load_dataset
from mambaout.training.loop import evaluate

TINY_IMAGENET = os.environ.get("MAMBAOUT_TINY_IMAGENET")
MANIFEST = json.loads((bundled_directory() / "manifest.json").read_text(encoding="utf-8"))
NAMES = [file.removesuffix(".safetensors") for file in MANIFEST]
SIZE_LIMIT = 25_000_000


@pytest.mark.parametrize("name", NAMES)
def test_drawn_patterns_get_the_logits_of_the_day_of_export(name):
    card = bundled_card(f"{name}.safetensors")
    side = card["input_size"][1]
    assert probe_digest(probe_pictures(side)) == card["probe"]["sha256"]
    recorded = torch.tensor(card["probe"]["logits"])
    model = timm.create_model(name, pretrained=True).eval()
    given = probe_logits(model, side, card["mean"], card["std"])
    assert recorded.shape == (6, len(card["classes"]))
    assert recorded.std(0).min() > 0.05  # the patterns are told apart
    torch.testing.assert_close(given, recorded, rtol=1e-3, atol=2e-3)
    other = with_mixing(model, card["other_mixing"]["mixing"])
    switched = probe_logits(other, side, card["mean"], card["std"])
    assert (switched - recorded).abs().max() > 0.02  # it is in the mixing it was trained in


def test_the_patterns_are_the_same_at_every_size_and_on_every_machine():
    small, large = probe_pictures(64), probe_pictures(128)
    assert torch.equal(large[:, :, ::2, ::2], small)
    digest = "0269344a21d42c5a6b023a48c1c31d1443ba1102bcf4c7f1c05d021b9477bda6"
    assert probe_digest(small) == digest


def test_the_bundle_stays_small_and_every_file_has_both_cards():
    folder = bundled_directory()
    assert sum(path.stat().st_size for path in folder.iterdir()) < SIZE_LIMIT
    assert {path.name for path in folder.glob("*.safetensors")} == set(MANIFEST)
    for name in NAMES:
        card = bundled_card(f"{name}.safetensors")
        assert card["novelty"]["auroc"] > 0.5
        assert card["sha256"] == MANIFEST[f"{name}.safetensors"]["sha256"]
        page = (folder / f"{name}.md").read_text(encoding="utf-8")
        assert f"| top-1 | {card['val_top1']:.2%} |" in page
        assert f"below {card['novelty']['threshold']:.3f} is called unsure" in page


@pytest.mark.skipif(TINY_IMAGENET is None, reason="MAMBAOUT_TINY_IMAGENET names no folder")
@pytest.mark.parametrize("name", NAMES)
def test_the_accuracy_on_your_own_copy_is_that_of_the_card(name, tmp_path_factory):
    card = bundled_card(f"{name}.safetensors")
    known = {field.name for field in fields(Recipe)}
    recipe = Recipe(**{key: value for key, value in card["recipe"].items() if key in known})
    cache = tmp_path_factory.getbasetemp() / "decoded"
    data = load_dataset(Path(TINY_IMAGENET), recipe, cache, print)
    model = timm.create_model(name, pretrained=True).eval()
    score = evaluate(model, data.val, card["input_size"][1])
    # as published the pictures are JPEG files; those of a card may have been encoded again
    tolerance = 0.002 if data.digest == card["data"]["digest"] else 0.03
    assert score.count == card["val_count"]
    assert score.top1 / score.count == pytest.approx(card["val_top1"], abs=tolerance)
