from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import load_file

import mambaout.training.export
from mambaout.models import with_mixing
from mambaout.training.__main__ import main
from mambaout.training.augment import normalise
from mambaout.training.config import TrainingError
from mambaout.training.data import load_dataset
from mambaout.training.export import export
from mambaout.training.loop import evaluate, train

CPU = torch.device("cpu")


def quiet(line):
    """Progress that nobody reads."""


@pytest.fixture(scope="module")
def finished(pictures, tmp_path_factory):
    """A short run: its recipe, its data, its result."""
    from mambaout.training.config import Recipe

    where = tmp_path_factory.mktemp("export")
    recipe = Recipe(
        model="test_mambaout", classes="all", epochs=2, batch_size=12, sizes="32:1", warmup_epochs=0
    )
    data = load_dataset(pictures, recipe, where / "cache", quiet)
    return recipe, data, train(recipe, data, where / "run", device=CPU, report=quiet)


def exported(finished, folder, *, half=False, tag="colours"):
    recipe, data, result = finished
    export(result, recipe, data, folder, tag, half=half, device=CPU)
    return folder / f"test_mambaout.{tag}.safetensors"


def card_of(weights):
    return json.loads(weights.with_suffix(".json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("half", [False, True])
def test_a_new_model_with_the_exported_weights_scores_what_the_card_says(finished, tmp_path, half):
    weights = exported(finished, tmp_path, half=half)
    card, data = card_of(weights), finished[1]
    tensors = load_file(weights)
    assert {t.dtype for t in tensors.values()} == {torch.float16 if half else torch.float32}
    model = timm.create_model("test_mambaout", num_classes=len(card["classes"]))
    model.load_state_dict(tensors)
    score = evaluate(model, data.val, card["input_size"][1])
    assert card["val_count"] == score.count == 18
    assert card["val_top1"] == score.top1 / score.count
    mean, std = torch.tensor(card["mean"]), torch.tensor(card["std"])
    logits = model.eval()(normalise(data.val.images, 32, mean, std))
    assert (logits.argmax(1) == data.val.labels).float().mean().item() == pytest.approx(
        card["val_top1"]
    )
    other = evaluate(with_mixing(model, "causal"), data.val, 32)
    assert card["other_mixing"]["mixing"] == "causal"
    assert card["other_mixing"]["val_top1"] == other.top1 / other.count


def test_exporting_half_leaves_the_result_in_float32(finished, tmp_path):
    before = {key: t.clone() for key, t in finished[2].model.state_dict().items()}
    exported(finished, tmp_path, half=True)
    after = finished[2].model.state_dict()
    assert all(torch.equal(after[key], t) for key, t in before.items())


def test_the_card_tells_classes_recipe_and_cost(finished, tmp_path):
    card = card_of(exported(finished, tmp_path))
    assert card["classes"] == [{"wnid": c, "label": c} for c in ("amber", "blue", "green")]
    assert card["params"] == sum(p.numel() for p in finished[2].model.parameters())
    assert card["macs"] > card["params"]
    assert card["recipe"] == finished[0].as_dict()
    assert (card["epochs"], card["seed"], card["model"]) == (2, 0, "test_mambaout")
    assert "48 training and 18 validation pictures of 3 classes" in card["data"]["description"]
    assert "WebP" not in card["data"]["description"]
    low, high = card["val_top1_interval"]
    assert low < card["val_top1"] < high or card["val_top1"] in (low, high)


def test_the_readable_card_holds_the_same_figures(finished, tmp_path):
    weights = exported(finished, tmp_path)
    card, text = card_of(weights), weights.with_suffix(".md").read_text(encoding="utf-8")
    for expected in (
        f"{card['val_top1']:.2%}",
        f"{card['other_mixing']['val_top1']:.2%}",
        card["sha256"],
        "amber, blue, green",
        "--model test_mambaout --data FOLDER --classes all --epochs 2",
    ):
        assert expected in text


def test_a_run_taken_early_says_so(finished, tmp_path):
    recipe, data, result = finished
    early = replace(result, history=result.history[:1])
    export(early, recipe, data, tmp_path, "colours", half=False, device=CPU)
    text = (tmp_path / "test_mambaout.colours.md").read_text(encoding="utf-8")
    assert "Stopped after 1 of 2 epochs" in text


def test_lossy_pictures_are_declared(finished, tmp_path):
    recipe, data, result = finished
    lossy = replace(data, lossy_webp=True)
    export(result, recipe, lossy, tmp_path, "colours", half=False, device=CPU)
    description = card_of(tmp_path / "test_mambaout.colours.safetensors")["data"]["description"]
    assert "lossily re-encoded (WebP)" in description


def test_the_manifest_gains_an_entry_and_keeps_the_others(finished, tmp_path):
    (tmp_path / "manifest.json").write_text('{"other.safetensors": {"sha256": "0", "bytes": 1}}')
    weights = exported(finished, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    content = weights.read_bytes()
    assert manifest == {
        "other.safetensors": {"sha256": "0", "bytes": 1},
        weights.name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)},
    }
    assert weights.stat().st_mode == (tmp_path / "manifest.json").stat().st_mode
    assert card_of(weights)["sha256"] == manifest[weights.name]["sha256"]


def test_half_is_refused_where_it_moves_the_accuracy(finished, tmp_path, monkeypatch):
    def spoiled(model):
        other = timm.create_model("test_mambaout", num_classes=3)
        return with_constant_answer(other, finished[1])

    monkeypatch.setattr(mambaout.training.export, "_rounded", spoiled)
    with pytest.raises(TrainingError, match=r"float16 weights move top-1 by .*without --half"):
        exported(finished, tmp_path, half=True)
    assert not list(tmp_path.iterdir())


def with_constant_answer(model, data):
    """The model made to answer one class always: right for a third of the pictures."""
    with torch.no_grad():
        model.head.fc.weight.zero_()
        model.head.fc.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    return model


def test_the_command_trains_exports_and_goes_on(pictures, tmp_path, capsys):
    command = [
        *("--model=test_mambaout", "--classes=all", f"--data={pictures}", "--epochs=1"),
        *("--batch-size=12", "--sizes=32:1", "--mixing=causal", "--device=cpu"),
        *(f"--out={tmp_path / 'run'}", f"--export={tmp_path / 'made'}", "--tag=colours"),
    ]
    assert main(command) == 0
    assert "epoch 1/1" in capsys.readouterr().out
    weights = tmp_path / "made" / "test_mambaout.colours_causal.safetensors"
    assert card_of(weights)["mixing"] == "causal"
    assert main([*command, "--lr=0.5"]) == 2
    assert "error: " in (said := capsys.readouterr().err)
    assert "lr: 0.002 there, 0.5 now" in said


def test_the_command_says_in_a_sentence_what_is_wrong(tmp_path, capsys):
    assert main(["--model=test_mambaout", f"--data={tmp_path}", f"--out={tmp_path}"]) == 2
    assert capsys.readouterr().err.startswith("error: no train pictures")


def test_a_second_run_goes_on_from_exported_weights_and_says_so(finished, pictures, tmp_path):
    first = exported(finished, tmp_path / "first")
    common = ["--model", "test_mambaout", "--data", str(pictures), "--classes", "all"]
    common += ["--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "run")]
    common += ["--epochs", "1", "--batch-size", "12", "--sizes", "32:1", "--lr", "0"]
    common += ["--min-lr", "0", "--weight-decay", "0", "--tag", "colours"]
    common += ["--export", str(tmp_path / "second"), "--init", str(first)]
    assert main(common) == 0
    second = tmp_path / "second" / first.name
    before, after = load_file(first), load_file(second)
    assert all(torch.equal(before[name], after[name]) for name in before)  # at learning rate 0
    card = card_of(second)
    assert card["recipe"]["init"] == card["start"]["sha256"] == card_of(first)["sha256"]
    text = second.with_suffix(".md").read_text(encoding="utf-8")
    assert text.count("python -m mambaout.training") == 2
    assert "--init FILE" in text


def test_weights_to_start_from_must_exist(pictures, tmp_path, capsys):
    arguments = ["--model", "test_mambaout", "--data", str(pictures), "--out", str(tmp_path)]
    assert main([*arguments, "--init", str(tmp_path / "none.safetensors")]) == 2
    assert "none.safetensors is none" in capsys.readouterr().err
