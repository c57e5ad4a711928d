"""The catalogue: which models are offered, and what is said about them."""

from __future__ import annotations

import json

import pytest
import timm
import torch

from mambaout.catalogue.bundled import bundled_card
from mambaout.catalogue.cards import FAMILIES, offered, offered_card
from mambaout.catalogue.published import PUBLISHED
from mambaout.models import __main__ as command
from mambaout.models.labels import class_labels

# Counted from the authors' own models.
PARAMETERS = {
    "mambaout_femto.in1k": 7_304_536,
    "mambaout_kobe.in1k": 9_141_208,
    "mambaout_tiny.in1k": 26_545_096,
    "mambaout_small.in1k": 48_488_072,
    "mambaout_base.in1k": 84_813_092,
    "mambaout_base_plus_rw.sw_e150_in12k_ft_in1k": 101_656_552,
    "vim_tiny_patch16_224.hustvl_in1k": 7_148_008,
    "vim_small_patch16_224.hustvl_in1k": 25_796_584,
    "vim_base_patch16_224.hustvl_in1k": 97_598_440,
    "vim_tiny_patch16_stride8_224.hustvl_in1k": 7_250_344,
    "vim_small_patch16_stride8_224.hustvl_in1k": 26_001_256,
    "vmamba_tiny_v0.mzeromiko_in1k": 22_893_448,
    "localvim_tiny.hunto_in1k": 7_994_152,
    "efficientvim_m1.e300_in1k": 6_679_458,
    "deit_tiny_patch16_224.fb_in1k": 5_717_416,
    "deit_small_patch16_224.fb_in1k": 22_050_664,
    "deit_base_patch16_224.fb_in1k": 86_567_656,
}


@pytest.fixture(scope="module")
def cards():
    return {card.name: card for card in offered()}


@pytest.fixture
def card_file(monkeypatch, tmp_path):
    """A bundled miniature's card, without its weights."""
    classes = [{"wnid": f"n{i:08}", "label": f"thing {i}"} for i in range(24)]
    card = {"val_top1": 0.7125, "val_count": 1200, "classes": classes, "params": 1, "macs": 2}
    (tmp_path / "vim_atto.tiny_imagenet.json").write_text(json.dumps(card))
    monkeypatch.setenv("MAMBAOUT_CHECKPOINTS", str(tmp_path))
    return card


def test_everything_with_weights_is_offered(cards):
    from_timm = {
        name for name in timm.list_models("mambaout*", pretrained=True) if "atto" not in name
    }
    assert len(from_timm) == 12
    assert from_timm < set(cards)
    assert set(timm.list_models("efficientvim*", pretrained=True)) < set(cards)
    assert {name for name in cards if name.startswith("deit")} == {
        f"deit_{size}_patch16_224.fb_in1k" for size in ("tiny", "small", "base")
    }
    ours = {
        name
        for name in timm.list_models(pretrained=True)
        if timm.models.model_entrypoint(name.partition(".")[0]).__module__ in FAMILIES
        and not name.partition(".")[0].endswith("_atto")
        and not name.startswith("deit")
    }
    assert ours < set(cards)
    assert {"mambaout_atto.tiny_imagenet", "vim_atto.tiny_imagenet"} < set(cards)
    assert set(PARAMETERS) < set(cards)


def test_a_miniature_that_was_never_bundled_is_not_offered(monkeypatch, tmp_path):
    def miniatures():
        return {card.name: card for card in offered() if "_atto." in card.name}

    monkeypatch.setenv("MAMBAOUT_CHECKPOINTS", str(tmp_path))
    assert miniatures() == {}
    file = "vmamba_atto.tiny_imagenet.safetensors"
    (tmp_path / "manifest.json").write_text(json.dumps({file: {"sha256": "0", "bytes": 7}}))
    # Bundled once and lost: that must be said, not passed over.
    assert set(miniatures()) == {"vmamba_atto.tiny_imagenet"}
    assert miniatures()["vmamba_atto.tiny_imagenet"].weights.state == "unavailable"
    assert "is missing" in miniatures()["vmamba_atto.tiny_imagenet"].weights.reason
    (tmp_path / file).write_bytes(b"weights")
    assert miniatures()["vmamba_atto.tiny_imagenet"].weights.state == "bundled"


def test_like_mixers_side_by_side(cards):
    families = list(
        dict.fromkeys(card.family for card in cards.values() if "_atto" not in card.name)
    )
    assert families == [
        "MambaOut", "Vim", "PlainMamba", "VMamba", "LocalVim", "LocalVMamba", "EfficientVMamba",
        "MambaVision", "EfficientViM", "ViT",
    ]  # fmt: skip


def test_parameters_are_those_of_the_authors(cards):
    assert {name: cards[name].params for name in PARAMETERS} == PARAMETERS


def test_what_families_say_is_true_of_their_networks(cards):
    checked = {}
    for card in cards.values():
        if card.family in checked:
            continue
        with torch.device("meta"):
            model = timm.create_model(card.name)
        checked[card.family] = any(hasattr(module, "scan_inputs") for module in model.modules())
        assert card.has_scan == checked[card.family], card.family
        assert card.has_scan == ("scan" in card.mixer)
    assert checked["Vim"]
    assert not checked["MambaOut"]


def test_a_miniatures_multiply_adds_are_on_its_card(cards, monkeypatch, tmp_path):
    name = "vim_atto.tiny_imagenet"
    assert cards[name].macs == bundled_card(f"{name}.safetensors")["macs"]
    files = {f"{name}.safetensors": {"sha256": "0", "bytes": 7}}
    (tmp_path / "manifest.json").write_text(json.dumps(files))
    monkeypatch.setenv("MAMBAOUT_CHECKPOINTS", str(tmp_path))
    assert offered_card(name).macs is None
    assert offered_card(name).params == cards[name].params


def test_every_family_of_ours_is_offered():
    modules = {timm.models.model_entrypoint(name).__module__ for name in timm.list_models()}
    assert {m for m in modules if m.startswith("mambaout.models.")} <= set(FAMILIES)


@pytest.mark.parametrize("family", ["mambaout", "vim_", "deit"])
def test_small_before_large(cards, family):
    sizes = [PARAMETERS[name] for name in cards if name in PARAMETERS and name.startswith(family)]
    assert len(sizes) >= 3
    assert sizes == sorted(sizes)


def test_published_accuracy(cards):
    assert cards["vim_tiny_patch16_224.hustvl_in1k"].top1 == 76.1
    assert (
        cards["vim_tiny_patch16_224.hustvl_in1k"].top1_source == "README of hustvl/Vim, 224 pixels"
    )
    assert cards["mambaout_tiny.in1k"].top1 == 82.74
    assert cards["mambaout_base_plus_rw.sw_e150_in12k"].top1 is None
    assert {name for name in PUBLISHED if timm.is_model(name.partition(".")[0])} <= set(cards)
    for card in cards.values():
        stated = card.data == "ImageNet-1k"
        assert (card.name in PUBLISHED and card.top1 is not None) == stated
        assert (card.top1_source != "") == (card.top1 is not None)
    titles = [card.title for card in cards.values()]
    assert len(set(titles)) == len(titles)


def test_facts_of_the_declaration(cards):
    card = cards["mambaout_base_plus_rw.sw_e150_r384_in12k_ft_in1k"]
    assert card.input_size == (3, 384, 384)
    assert (card.classes, card.data, card.licence) == (1000, "ImageNet-1k", "apache-2.0")
    assert cards["mambaout_base_plus_rw.sw_e150_in12k"].data == "ImageNet-12k"
    assert cards["vim_atto.tiny_imagenet"].data == "24 classes of Tiny-ImageNet"


def test_bundled_models_come_first(monkeypatch, tmp_path, card_file):
    assert offered()[0].weights.state != "bundled"
    file = "vim_atto.tiny_imagenet.safetensors"
    (tmp_path / file).write_bytes(b"weights")
    (tmp_path / "manifest.json").write_text(json.dumps({file: {"sha256": "0", "bytes": 7}}))
    first = offered()[0]
    assert (first.name, first.weights.state) == ("vim_atto.tiny_imagenet", "bundled")
    assert first.title == "Vim-Atto"
    assert first.top1 == pytest.approx(71.25)
    assert first.top1_source == "measured on 1200 validation pictures (see its card)"


def test_labels_of_imagenet():
    labels = class_labels("vim_tiny_patch16_224.hustvl_in1k")
    assert len(labels) == len(set(labels)) == 1000
    assert labels[0] == "tench, Tinca tinca"
    assert labels[999] == "toilet tissue, toilet paper, bathroom tissue"
    assert labels[134].startswith("crane: large long-necked wading bird")
    assert labels[517].startswith("crane: lifts and moves heavy objects")
    assert len(set(class_labels("mambaout_base_plus_rw.sw_e150_in12k"))) == 11821


def test_labels_of_a_model_are_those_of_its_name():
    with torch.device("meta"):
        model = timm.create_model("mambaout_femto.in1k")
    assert class_labels(model) == class_labels("mambaout_femto.in1k")


def test_labels_of_a_card(card_file):
    expected = [entry["label"] for entry in card_file["classes"]]
    assert class_labels("vim_atto.tiny_imagenet") == expected
    assert class_labels(timm.create_model("vim_atto.tiny_imagenet")) == expected
    # Another head has other classes, whatever the card says.
    other = timm.create_model("vim_atto.tiny_imagenet", num_classes=3)
    assert class_labels(other) == ["class 0", "class 1", "class 2"]


def test_labels_that_a_declaration_states():
    cfg = {"num_classes": 2, "label_names": ("n1", "n2"), "label_descriptions": {"n1": "a dog"}}
    model = timm.create_model("vim_atto", pretrained_cfg=cfg, img_size=64)
    assert class_labels(model) == ["a dog", "n2"]


def test_command_lists_the_models(capsys, monkeypatch, cards):
    monkeypatch.setattr(command, "offered", lambda: [cards["vim_small_patch16_224.hustvl_in1k"]])
    assert command.main(["list"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "PARAMS", "TOP-1", "CLASSES", "LICENCE", "WEIGHTS"]
    assert row.split("  ") == [
        "vim_small_patch16_224.hustvl_in1k",
        "25.8 M",
        "80.5 %",
        "ImageNet-1k",
        "apache-2.0",
        "unavailable",
    ]


def test_one_card_is_the_same_as_in_the_list():
    cards = offered()
    assert [offered_card(card.name) for card in cards] == cards
    assert offered_card("vim_atto") is None  # without its tag
    assert offered_card("resnet50.a1_in1k") is None
    assert offered_card("no_such_model.in1k") is None
