from __future__ import annotations

import hashlib
import json
import os
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from timm.data import create_transform, resolve_data_config

import mambaout.models  # noqa: F401 - registers the families
from mambaout.catalogue import sources
from mambaout.models import weights
from mambaout.training.classes import EVERYDAY

MAMBAOUT, VIT, RESNET = "mambaout_atto.tiny_imagenet", "vit_atto.tiny_imagenet", "test_resnet"


def drawn(name, seed):
    """The architecture with weights of a size that makes its answers depend on the picture."""
    torch.manual_seed(seed)
    model = timm.create_model(name, pretrained=False).eval().requires_grad_(False)
    for parameter in model.parameters():
        if parameter.dim() > 1:
            parameter.normal_(std=1.5 * parameter[0].numel() ** -0.5)
        elif parameter.dim() == 1:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory):
    """A folder as `checkpoints/`, with two miniatures that nobody trained."""
    folder = tmp_path_factory.mktemp("checkpoints")
    manifest = {}
    for seed, name in enumerate((MAMBAOUT, VIT)):
        path = folder / f"{name}.safetensors"
        save_file(drawn(name, seed).state_dict(), path)
        content = path.read_bytes()
        sha256 = hashlib.sha256(content).hexdigest()
        manifest[path.name] = {"sha256": sha256, "bytes": len(content)}
        card = {"classes": [choice._asdict() for choice in EVERYDAY]}
        (folder / f"{name}.json").write_text(json.dumps(card))
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


@pytest.fixture(scope="session")
def downloaded(tmp_path_factory):
    """A cache as if a network of timm's that has no causal form had been downloaded."""
    folder = tmp_path_factory.mktemp("cache")
    declared = weights.declared_weights(RESNET)
    source = sources.official_file(declared)
    path = sources.converted_path(declared, source, folder)
    path.parent.mkdir()
    save_file(drawn(RESNET, 3).state_dict(), path)
    return path.parent


@pytest.fixture(autouse=True)
def places(checkpoints, downloaded, monkeypatch, tmp_path):
    """Weights come from the test run's folder, and answers go to the test's own."""
    monkeypatch.setenv("MAMBAOUT_CHECKPOINTS", str(checkpoints))
    monkeypatch.setenv("MAMBAOUT_CACHE", str(downloaded))
    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)


def first_five(name, path):
    """An answer that owes nothing to the package: timm's own transform, one picture at a time."""
    file = os.environ["MAMBAOUT_CHECKPOINTS"] + f"/{name}.safetensors"
    model = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": file}).eval()
    transform = create_transform(**resolve_data_config(model=model), is_training=False)
    with Image.open(path) as opened, torch.inference_mode():
        return model(transform(opened.convert("RGB"))[None])[0].topk(5).indices.tolist()


def painted(index):
    """A picture of a few blots, different for every index."""
    random = np.random.default_rng(index)
    coarse = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((90, 72), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def sorted_pictures(tmp_path_factory, checkpoints):
    """24 pictures, the even ones in the folder of MAMBAOUT's answer, the odd ones in the next.

    Returns the folder, and for each file of it the class's output and the model's first five.
    """
    folder = tmp_path_factory.mktemp("data") / "blots"
    answers = {}
    previous = os.environ.get("MAMBAOUT_CHECKPOINTS")
    os.environ["MAMBAOUT_CHECKPOINTS"] = str(checkpoints)
    try:
        for index in range(24):
            loose = folder.with_name(f"{index}.png")
            painted(index).save(loose)
            five = first_five(MAMBAOUT, loose)
            output = five[0] if index % 2 == 0 else (five[0] + 1) % len(EVERYDAY)
            path = folder / "val" / EVERYDAY[output].wnid / loose.name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(loose, path)
            answers[path.relative_to(folder).as_posix()] = (output, five)
    finally:
        os.environ.pop("MAMBAOUT_CHECKPOINTS")
        if previous is not None:
            os.environ["MAMBAOUT_CHECKPOINTS"] = previous
    return folder, answers
