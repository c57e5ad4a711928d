"""MambaOut: Gated CNN blocks, the Mamba block less its state space model.

Yu & Wang, "MambaOut: Do We Really Need Mamba for Vision?", CVPR 2025, arXiv:2405.07992.
The network is timm's (`timm.models.mambaout`, Apache-2.0), and so are all registered variants and
their weights. This file adds the causal form of its token mixer, and a miniature.
"""

from __future__ import annotations

from itertools import chain
from typing import Any, cast

from timm.models import generate_default_cfgs, register_model
from timm.models.mambaout import GatedConvBlock, MambaOut, MambaOutStage, checkpoint_filter_fn
from torch import nn

from mambaout.catalogue.mixing import Mixing, check_mixing
from mambaout.models.building import MINIATURE_TAGS, build_model, declared_mixing
from mambaout.models.mixing import set_mixing, with_mixing
from mambaout.models.mixing_conv import MixingConv2d
from mambaout.models.token_grid import TokenGrid, stage_titles, token_grid


@set_mixing.register
def _(mixer: GatedConvBlock, mixing: Mixing) -> bool:
    # The depthwise convolution is all that mixes tokens here; causal keeps 25 of its 49 taps.
    mixer.conv = MixingConv2d.sharing(mixer.conv, mixing)
    return True


@token_grid.register
def _(model: MambaOut) -> TokenGrid:
    # A stage's last block is the stage itself, by the name that it has always had here.
    targets = [
        [*(f"stages.{i}.blocks.{j}" for j in range(len(stage.blocks) - 1)), f"stages.{i}"]
        for i, stage in enumerate(cast("list[MambaOutStage]", list(model.stages)))
    ]
    # The second last stage: the last has 7 x 7 tokens at 224 pixels, too coarse to point at things.
    return TokenGrid(
        layout="nhwc",
        targets=tuple(chain(*targets)),
        titles=stage_titles(targets),
        default_target=targets[-2][-1],
    )


def _create(variant: str, pretrained: bool, mixing: Mixing, **kwargs: Any) -> nn.Module:
    check_mixing(mixing)
    stages = tuple(range(len(kwargs["depths"])))
    model = build_model(
        MambaOut,
        variant,
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg={"out_indices": stages, "flatten_sequential": True},
        **kwargs,
    )
    return model if mixing == "bidirectional" else with_mixing(model, mixing)


def _miniature(**kwargs: Any) -> dict[str, Any]:
    return {
        "input_size": (3, 64, 64),
        "pool_size": (4, 4),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "stem.conv1",
        "classifier": "head.fc",
        "license": "apache-2.0",
        "paper_ids": "arXiv:2405.07992",
        "paper_name": "MambaOut: Do We Really Need Mamba for Vision?",
        **kwargs,
    }


default_cfgs = generate_default_cfgs(
    {
        f"mambaout_atto.{tag}": _miniature(file=f"mambaout_atto.{tag}.safetensors", num_classes=24)
        for tag in MINIATURE_TAGS
    }
)


@register_model
def mambaout_atto(
    pretrained: bool = False, mixing: Mixing | None = None, **kwargs: Any
) -> nn.Module:
    """MambaOut for 64 x 64 pictures, trained on Tiny-ImageNet and bundled with this project."""
    config: dict[str, Any] = {"depths": (2, 3, 2), "dims": (48, 96, 160)}
    mixing = mixing or declared_mixing("mambaout_atto", kwargs)
    return _create("mambaout_atto", pretrained, mixing, **config | kwargs)
