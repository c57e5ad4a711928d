"""The numbers that golden files hold for models of stages, by the files' names for them."""

from __future__ import annotations

import torch

from mambaout.models.checkpoints import load_checkpoint
from tests.models.golden import load_golden, relative_error, weights


def recorded(name, build):
    """``build(config)`` with the weights of a golden file, and the file."""
    meta, tensors = load_golden(name)
    model = build(meta["config"]).eval()
    load_checkpoint(model, weights(meta, tensors))
    return model, meta, tensors


@torch.no_grad()
def named_outputs(model, image):
    """What a golden file may hold, from one run of ``model``; maps are (b, h, w, c)."""
    named = {"patch_embed": model.patch_embed, "classifier_norm": model.classifier.norm}
    for i, stage in enumerate(model.layers):
        named[f"stage.{i}.blocks_out"] = stage.get_submodule(stage.output)
        named[f"stage.{i}.downsample_out"] = stage
        for j, block in enumerate(getattr(stage, "blocks", [])):
            named[f"stage.{i}.block.{j}.out"] = block
            named[f"stage.{i}.block.{j}.ssm_out"] = block.op
    got = {}

    def note(name):
        return lambda _module, _inputs, output: got.update({name: output})

    handles = [module.register_forward_hook(note(name)) for name, module in named.items()]
    got["logits"] = model(image)
    got["features"] = model.forward_head(got["classifier_norm"], pre_logits=True)
    for handle in handles:
        handle.remove()
    return got


def check_numbers(got, meta, tensors):
    """Every recorded output is there and within its tolerance."""
    assert {"logits", "features"} <= set(meta["tolerances"])
    for name, tolerance in meta["tolerances"].items():
        expected, ours = tensors[f"out.{name}"], got[name]
        channels_first = "stage tensors are NCHW" in meta["notes"] and ours.ndim == 4
        if channels_first or ours.shape != expected.shape:
            ours = ours.permute(0, 3, 1, 2)
        assert relative_error(ours, expected) <= tolerance, name
