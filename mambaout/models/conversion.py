"""Turn an authors' weight file into a safetensors file with the weights alone and our names."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from timm.models import PretrainedCfg

from mambaout.catalogue.hashing import file_sha256
from mambaout.models.checkpoints import matching_tensors


def convert(official: Path, target: Path, cfg: PretrainedCfg, source: str) -> Path:
    """Save the weights in `official` to `target`, if they fit the architecture of `cfg` strictly.

    Args:
        official: the authors' file.
        target: the file to write; it appears complete or not at all.
        cfg: names the architecture, its class count and its input size.
        source: where `official` came from, kept in the converted file with its SHA-256.

    Returns:
        `target`; or `official` itself if timm can load it as it is, as it can its own.

    Raises:
        CheckpointError: `official` is damaged, hostile, or made for another model.
    """
    architecture = str(cfg.architecture)
    with torch.device("meta"):
        model = timm.create_model(
            architecture, pretrained=False, pretrained_cfg=cfg.to_dict(remove_source=True)
        )
    tensors = matching_tensors(model, official)
    if official.suffix == ".safetensors":
        with safe_open(official, framework="pt") as file:
            if set(file.keys()) == set(tensors):
                return official
    origin = {
        "format": "pt",
        "architecture": architecture,
        "source": source,
        "source_sha256": file_sha256(official),
        "license": cfg.license or "",
    }
    unfinished = target.with_name(f"{target.name}.unfinished")
    # Cloned, because an author's tensors may share memory, which safetensors does not store.
    apart = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    save_file(apart, unfinished, metadata=origin)
    unfinished.replace(target)
    return target
