"""How sure a model is of what it knows and of what it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from mambaout.evaluation.novelty import auroc, novelty_hint, tempered
from mambaout.evaluation.paired import unpacked
from mambaout.training.__main__ import main
from mambaout.training.calibration import FALSE_ALARMS, TEMPERATURES, calibrate


def drawn(count, sharpness, seed, classes=5):
    """Logits whose true temperature is ``1 / sharpness``, and labels drawn from them."""
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(count, classes, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * sharpness, labels


def test_the_temperature_undoes_a_scale():
    for sharpness in (0.5, 1.0, 2.0):
        inside, labels = drawn(20_000, sharpness, seed=1)
        found = calibrate(inside, labels, drawn(100, 1, 2)[0])["temperature"]
        assert found == pytest.approx(sharpness, rel=0.06)
    assert TEMPERATURES[0] == pytest.approx(1 / 4)
    assert TEMPERATURES[-1] == pytest.approx(4)


def test_the_threshold_gives_the_false_alarms_it_was_made_for():
    inside, labels = drawn(20_000, 1.0, seed=3)
    unlike = torch.randn(20_000, 5, generator=torch.Generator().manual_seed(4))  # less sure
    measured = calibrate(inside, labels, unlike)
    assert measured["unsure_inside"] == pytest.approx(FALSE_ALARMS, abs=0.01)
    assert measured["unsure_outside"] > 2 * FALSE_ALARMS
    assert 0.6 < measured["auroc"] < 1
    same = calibrate(inside, labels, drawn(20_000, 1.0, seed=5)[0])
    assert same["auroc"] == pytest.approx(0.5, abs=0.01)
    assert same["unsure_outside"] == pytest.approx(FALSE_ALARMS, abs=0.01)


def test_tempered_probabilities_are_those_of_divided_logits():
    logits = drawn(7, 3.0, seed=6)[0].double()
    got = tempered(logits.softmax(1).numpy(), 1.7)
    np.testing.assert_allclose(got, (logits / 1.7).softmax(1).numpy(), rtol=1e-9)


def test_auroc_counts_pairs():
    inside, outside = np.array([0.9, 0.5, 0.5, 0.1]), np.array([0.5, 0.2, 0.05])
    pairs = [(i > o) + 0.5 * (i == o) for i in inside for o in outside]
    assert auroc(inside, outside) == pytest.approx(np.mean(pairs))


CARD = {
    "mixing": "bidirectional",
    "classes": [{"label": "a"}, {"label": "b"}, {"label": "c"}],
    "novelty": {
        "temperature": 2.0, "threshold": 0.5, "unsure_inside": 0.1, "unsure_outside": 0.4,
    },
}  # fmt: skip


def test_a_hint_is_given_below_the_threshold_only():
    sure, unsure = [0.9, 0.06, 0.04], [0.6, 0.3, 0.1]
    assert novelty_hint(sure, CARD, "bidirectional") is None
    hint = novelty_hint(unsure, CARD, "bidirectional")
    roots = np.sqrt(unsure)
    assert hint.confidence == pytest.approx(roots[0] / roots.sum())
    assert (hint.threshold, hint.unsure_inside, hint.unsure_outside) == (0.5, 0.1, 0.4)
    with pytest.raises(ValueError, match=r"probabilities of 3 classes, got .*\(2,\)"):
        novelty_hint([0.5, 0.5], CARD, "bidirectional")


def test_where_nothing_was_measured_there_is_no_hint():
    unsure = [0.4, 0.3, 0.3]
    assert novelty_hint(unsure, CARD, "bidirectional") is not None
    assert novelty_hint(unsure, CARD, "causal") is None
    assert novelty_hint(unsure, None, "bidirectional") is None
    assert novelty_hint(unsure, {**CARD, "novelty": None}, "bidirectional") is None
    assert novelty_hint(unsure, {"mixing": "bidirectional"}, "bidirectional") is None


def test_export_measures_it_on_the_classes_left_out_and_measure_again(pictures, tmp_path, capsys):
    chosen = tmp_path / "two.txt"
    chosen.write_text("amber\nblue\n", encoding="utf-8")
    made = tmp_path / "made"
    command = [
        *("--model=test_mambaout", f"--classes={chosen}", f"--data={pictures}", "--epochs=1"),
        *("--batch-size=8", "--sizes=32:1", "--device=cpu", f"--out={tmp_path / 'run'}"),
        *(f"--export={made}", f"--cache={tmp_path / 'cache'}"),
    ]
    assert main(command) == 0
    path = made / "test_mambaout.tiny_imagenet.json"
    card = json.loads(path.read_text("utf-8"))
    assert card["novelty"]["outside_count"] == 3  # every second green picture of six
    assert "**Pictures of other things:**" in path.with_suffix(".md").read_text("utf-8")
    measured = {"novelty", "probe", "val_top1", "val_right", "other_mixing"}
    stripped = {key: value for key, value in card.items() if key not in measured}
    path.write_text(json.dumps(stripped), encoding="utf-8")
    again = ["measure", f"--data={pictures}", f"--cache={tmp_path / 'cache'}", str(path)]
    assert main(again) == 0
    renewed = json.loads(path.read_text("utf-8"))
    for told, known in ((renewed, card), (renewed["other_mixing"], card["other_mixing"])):
        right = unpacked(told["val_right"], card["val_count"])
        assert right.mean() == told["val_top1"] == known["val_top1"]
        assert told["val_right"] == known["val_right"]
    assert renewed["novelty"] == pytest.approx(card["novelty"])
    np.testing.assert_allclose(
        renewed["probe"]["logits"], card["probe"]["logits"], rtol=1e-4, atol=2e-5
    )
    path.write_text(json.dumps({**card, "data": {"digest": "0"}}), encoding="utf-8")
    assert main(again) == 2
    assert "does not hold the pictures" in capsys.readouterr().err
    path.write_text("{}", encoding="utf-8")
    assert main(again) == 2
    assert "cannot be read as a card" in capsys.readouterr().err
