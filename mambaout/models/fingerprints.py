"""Which model family a dictionary of tensors was made for, told by its names and shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch

# A name that only one family has, the most particular first: LocalVMamba's names include all of
# VMamba's, and Vim's start as LocalVim's do.
_MARKS = (
    ("LocalVMamba", r"\.op\.multi_scan\.attn\."),
    ("EfficientVMamba", r"\.conv_branch\."),
    ("VMamba", r"\.(op|self_attention)\.x_proj_weight$"),
    ("LocalVim", r"\.mixer\.A_log_0$"),
    ("Vim", r"\.mixer\.A_b_log$"),
    ("PlainMamba", r"\.mamba\.direction_Bs$"),
    ("MambaVision", r"\.mixer\.conv1d_z\.weight$"),
    ("EfficientViM", r"\.mixer\.BCdt_proj\."),
    ("MambaOut", r"^(stages\.0\.blocks\.0\.conv|stages\.0\.0\.conv|downsample_layers\.0\.conv1)\."),
    ("ViT or DeiT", r"^blocks\.\d+\.attn\.qkv\.weight$"),
)
_HEADS = ("head.weight", "classifier.head.weight", "head.fc2.weight", "head.fc.weight")
_BLOCK_INDEX = re.compile(r"(?:^|\.)(?:layers|blocks)\.(\d+)\.(?!blocks\.)")
# EfficientVMamba numbers a downsampling like a block; it has only these two names.
_STAGE_BLOCK = re.compile(
    r"(?:layers|stages|levels)\.(\d+)\.(?:blocks\.(?=\d)|(?!\d+\.(?:norm|reduction)\.))(\d+)\."
)


def looks_like(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """The model that the tensors fit, in words such as "Vim (width 192, 24 layers, 197 tokens)".

    Returns None if no family is recognised.
    """
    family = next(
        (family for family, mark in _MARKS if any(re.search(mark, name) for name in tensors)), None
    )
    if family is None:
        return None
    sizes = _sizes(tensors)
    return f"{family} ({', '.join(sizes)})" if sizes else family


def _sizes(tensors: Mapping[str, torch.Tensor]) -> list[str]:
    sizes = []
    positions = tensors.get("pos_embed")
    if positions is not None and positions.ndim == 3:
        layers = {match[1] for name in tensors if (match := _BLOCK_INDEX.search(name))}
        sizes += [f"width {positions.shape[2]}", f"{len(layers)} layers"]
        sizes += [f"{positions.shape[1]} tokens"]
    else:
        depths = _stage_depths(tensors)
        sizes += [f"depths {'-'.join(map(str, depths))}"] if depths else []
    head = next((tensors[name] for name in _HEADS if name in tensors), None)
    if head is not None and head.ndim == 2:
        sizes.append(f"{head.shape[0]} classes")
    return sizes


def _stage_depths(tensors: Mapping[str, torch.Tensor]) -> list[int]:
    """Blocks per stage, from names such as `layers.2.blocks.5.` or `stages.2.5.`."""
    blocks: dict[int, set[int]] = {}
    for name in tensors:
        match = _STAGE_BLOCK.match(name)
        if match:
            blocks.setdefault(int(match[1]), set()).add(int(match[2]))
    return [len(blocks[stage]) for stage in sorted(blocks)]
