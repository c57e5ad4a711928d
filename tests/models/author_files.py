"""Files as authors publish them: their names, their wrapping, small sizes."""

from __future__ import annotations

import argparse
import io

import torch


def vim_tensors(seed=0, *, width=128, depth=8, states=8, patch=4, tokens=257, classes=24):
    """Random weights under the names of hustvl/Vim; the sizes are those of `vim_atto`."""
    generator = torch.Generator().manual_seed(seed)
    inner, rank = 2 * width, -(-width // 16)

    def draw(*shape):
        return torch.randn(shape, generator=generator) * 0.02

    tensors = {
        "cls_token": draw(1, 1, width),
        "pos_embed": draw(1, tokens, width),
        "patch_embed.proj.weight": draw(width, 3, patch, patch),
        "patch_embed.proj.bias": draw(width),
        "head.weight": draw(classes, width),
        "head.bias": draw(classes),
        "norm_f.weight": 1 + draw(width),
    }
    for i in range(depth):
        tensors[f"layers.{i}.norm.weight"] = 1 + draw(width)
        mixer = f"layers.{i}.mixer"
        tensors[f"{mixer}.in_proj.weight"] = draw(2 * inner, width)
        tensors[f"{mixer}.out_proj.weight"] = draw(width, inner)
        for suffix, middle in (("", ""), ("_b", "_b")):
            tensors[f"{mixer}.A{middle}_log"] = draw(inner, states)
            tensors[f"{mixer}.D{suffix}"] = draw(inner)
            tensors[f"{mixer}.conv1d{suffix}.weight"] = draw(inner, 1, 4)
            tensors[f"{mixer}.conv1d{suffix}.bias"] = draw(inner)
            tensors[f"{mixer}.x_proj{suffix}.weight"] = draw(rank + 2 * states, inner)
            tensors[f"{mixer}.dt_proj{suffix}.weight"] = draw(inner, rank)
            tensors[f"{mixer}.dt_proj{suffix}.bias"] = draw(inner)
    return tensors


def mambaout_tensors(model):
    """A timm MambaOut's weights under the names of yuweihao/MambaOut."""
    tensors = {}
    for name, tensor in model.state_dict().items():
        renamed = name.replace("stem.", "downsample_layers.0.").replace(".blocks.", ".")
        if ".downsample." in renamed:
            stage = renamed.split(".")[1]
            renamed = renamed.replace(f"stages.{stage}.downsample.", f"downsample_layers.{stage}.")
        renamed = renamed.replace("head.norm.", "norm.").replace("head.fc.", "head.fc2.")
        renamed = renamed.replace("head.pre_logits.fc.", "head.fc1.")
        tensors[renamed.replace("head.pre_logits.norm.", "head.norm.")] = tensor
    return tensors


def vim_release(tensors):
    """What Vim's trainer saves: weights, optimiser, averaged weights, its command line."""
    return {
        "model": tensors,
        "optimizer": {"state": {0: {"step": 3, "exp_avg": torch.ones(5)}}, "param_groups": [{}]},
        "lr_scheduler": {"last_epoch": 299},
        "epoch": 299,
        "model_ema": {name: tensor + 1 for name, tensor in tensors.items()},
        "scaler": {},
        "args": argparse.Namespace(model="vim", batch_size=128, data_path="/data"),
    }


def saved(value):
    """The bytes that torch.save writes."""
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()
