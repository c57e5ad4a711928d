"""MambaVision: convolutions first, then windows of tokens that a scan and then attention mix.

Hatamizadeh & Kautz, "MambaVision: A Hybrid Mamba-Transformer Vision Backbone", CVPR 2025,
arXiv:2407.08083. Authors' weights: huggingface.co/nvidia, CC BY-NC-SA 4.0 ("nvclv1" on the Hub),
for non-commercial use only. Authors' code: github.com/NVlabs/MambaVision, NVIDIA Source Code
License-NC. None of it is used here: this file was written from a description of the network.
Parameter names are those in the authors' files, so that these load as they are.

Three things that pretrained weights expect: the bias of Δ counts twice, once in its projection and
once more in the scan; the convolutions beside the scan have no bias and see one token ahead; and
the second branch is no gate, it is put beside the scan's result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any, cast

from timm.models import generate_default_cfgs, register_model
from timm.models._features import feature_take_indices
from torch import Tensor, nn

from mambaout.catalogue.mixing import Mixing, check_mixing
from mambaout.errors import Sentence
from mambaout.models.attention import MixingAttention
from mambaout.models.building import build_model
from mambaout.models.initial import classifier, init_linear
from mambaout.models.mamba_vision_blocks import (
    ConvBlock,
    Downsample,
    Level,
    MambaVisionBlock,
    MambaVisionMixer,
    Stem,
    WindowBlocks,
)
from mambaout.models.pooling import checked_pool
from mambaout.models.scan_paths import why_paths_are_fixed
from mambaout.models.staged import drop_path_rates
from mambaout.models.token_grid import TokenGrid, stage_titles, token_grid


class MambaVision(nn.Module):
    """MambaVision, with the interface of timm's models.

    Per level, four numbers; the first two levels are convolutions without heads and windows, whose
    numbers the authors list all the same.

    Args:
        in_chans: channels of a picture.
        num_classes: width of the classifier; 0 for none.
        global_pool: "avg" for the mean of the last map, "" to leave it as it is.
        depths: blocks of each level. Of n blocks with tokens, the last n // 2 attend.
        dim: channels of the first level; each later one has twice as many.
        in_dim: channels half-way through the stem.
        num_heads: heads of the attention blocks of each level.
        window_size: side of the windows of each level [tokens].
        mlp_ratio: hidden channels of an MLP per channel.
        layer_scale: first value of the residuals' learned scale; None for no such scale.
        mixing: "bidirectional" as trained, or "causal" within each window.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth, growing linearly with the depth.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        depths: Sequence[int] = (1, 3, 8, 4),
        dim: int = 80,
        in_dim: int = 32,
        num_heads: Sequence[int] = (2, 4, 8, 16),
        window_size: Sequence[int] = (8, 8, 14, 7),
        mlp_ratio: float = 4.0,
        layer_scale: float | None = None,
        mixing: Mixing = "bidirectional",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        check_mixing(mixing)
        dims = [dim * 2**i for i in range(4)]
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.num_features = self.head_hidden_size = dims[-1]
        self.patch_embed = Stem(in_chans, in_dim, dim)
        rates = drop_path_rates(drop_path_rate, depths)
        self.levels = nn.ModuleList()
        for i, depth in enumerate(depths):
            blocks: nn.Sequential
            if i < 2:
                blocks = nn.Sequential(*(ConvBlock(dims[i], rate) for rate in rates[i]))
            else:
                blocks = WindowBlocks(
                    *(
                        MambaVisionBlock(
                            dims[i],
                            _mixer(j, depth, dims[i], num_heads[i], mixing),
                            mlp_ratio,
                            layer_scale,
                            rate,
                        )
                        for j, rate in enumerate(rates[i])
                    ),
                    side=window_size[i],
                )
            self.levels.append(Level(blocks, Downsample(dims[i]) if i < 3 else nn.Identity()))
        self.norm: nn.Module = nn.BatchNorm2d(dims[-1])
        self.global_pool = checked_pool(global_pool, "avg")
        self.head_drop = nn.Dropout(drop_rate)
        self.head = classifier(dims[-1], num_classes)
        # The maps before they are halved; a level's own output is the next one's input.
        self.feature_info = [
            {"module": f"levels.{i}.blocks", "num_chs": dims[i], "reduction": 4 * 2**i}
            for i in range(4)
        ]

    @property
    def _levels(self) -> list[Level]:
        return cast("list[Level]", list(self.levels))

    def no_weight_decay(self) -> set[str]:
        kept = ("A_log", "D")
        return {name for name, _ in self.named_parameters() if name.rsplit(".")[-1] in kept}

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        if coarse:
            return {"stem": r"^patch_embed", "blocks": [(r"^levels\.(\d+)", None)]}
        return {
            "stem": r"^patch_embed",
            "blocks": [
                (r"^levels\.(\d+)\.blocks\.(\d+)", None),
                (r"^levels\.(\d+)\.downsample", (99998,)),
                (r"^norm", (99999,)),
            ],
        }

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        # The convolutional levels keep their statistics; run twice, they would count a batch twice.
        for level in self._levels:
            if isinstance(level.blocks, WindowBlocks):
                level.blocks.grad_checkpointing = enable

    def get_classifier(self) -> nn.Module:
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        if global_pool is not None:
            self.global_pool = checked_pool(global_pool, "avg")
        self.head = classifier(self.num_features, num_classes).to(next(self.parameters()))

    def forward_features(self, x: Tensor) -> Tensor:
        """Pictures (b, c, H, W) → the last, normed map (b, 8·dim, H/32, W/32)."""
        x = self.patch_embed(x)
        for level in self.levels:
            x = level(x)
        return self.norm(x)  # type: ignore[no-any-return]

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The maps of chosen levels, and the final map.

        Args:
            x: pictures, (b, c, H, W).
            indices: the last n levels if an int, these levels if a sequence, all if None.
            norm: pass the last level's map through the final norm; the others have none.
            stop_early: do not run the levels after the last one asked for.
            output_fmt: "NCHW", the only one.
            intermediates_only: leave out the final map.

        Raises:
            ValueError: another ``output_fmt``.
        """
        if output_fmt != "NCHW":
            raise ValueError(f'output_fmt must be "NCHW", got {output_fmt!r}')
        take, last = feature_take_indices(len(self.levels), indices)
        final = len(self.feature_info) - 1
        x = self.patch_embed(x)
        intermediates = []
        for i, level in enumerate(self._levels[: last + 1] if stop_early else self._levels):
            kept = level.blocks(x)
            if i in take:
                intermediates.append(self.norm(kept) if norm and i == final else kept)
            x = level.downsample(kept)
        if intermediates_only:
            return intermediates
        return self.norm(x), intermediates

    def prune_intermediate_layers(
        self,
        indices: int | list[int] = 1,
        prune_norm: bool = False,
        prune_head: bool = True,
    ) -> list[int]:
        """Drop the levels that `forward_intermediates` does not need for ``indices``."""
        take, last = feature_take_indices(len(self.levels), indices)
        self.levels = self.levels[: last + 1]
        self.levels[-1].downsample = nn.Identity()
        if prune_norm:
            self.norm = nn.Identity()
        if prune_head:
            self.head = nn.Identity()
        return take

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """The last map (b, c, h, w) → logits, or the pooled (b, c) if ``pre_logits``."""
        if self.global_pool == "avg":
            x = x.mean((2, 3))
        x = self.head_drop(x)
        return x if pre_logits else self.head(x)

    def forward(self, x: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(x))


@why_paths_are_fixed.register
def _(_model: MambaVision) -> str:
    return Sentence("MambaVision's paths are fixed: each of its scans has one path, forward.")


@token_grid.register
def _(model: MambaVision) -> TokenGrid:
    # Blocks that work window by window put out windows, and have no map to show but the level's.
    targets = [
        [
            *(
                f"levels.{i}.blocks.{j}"
                for j in range(len(level.blocks) - 1)
                if not isinstance(level.blocks, WindowBlocks)
            ),
            f"levels.{i}.blocks",
        ]
        for i, level in enumerate(cast("list[Level]", list(model.levels)))
    ]
    # The second last level: the last has 7 x 7 tokens at 224 pixels, too coarse to point at things.
    return TokenGrid(
        layout="nchw",
        targets=tuple(chain(*targets)),
        titles=stage_titles(targets),
        default_target=targets[-2][-1],
    )


def _mixer(index: int, depth: int, dim: int, heads: int, mixing: Mixing) -> nn.Module:
    if index < math.ceil(depth / 2):
        return MambaVisionMixer(dim, mixing=mixing)
    attention = MixingAttention(dim, num_heads=heads, qkv_bias=True, mixing=mixing)
    for layer in (attention.qkv, attention.proj):
        init_linear(layer)
    return attention


def _cfg(repository: str, **kwargs: Any) -> dict[str, Any]:
    return {
        "hf_hub_id": f"nvidia/{repository}",
        # The same weights as the .pth.tar beside it, without the optimiser and without a pickle.
        "hf_hub_filename": "model.safetensors",
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": (7, 7),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "patch_embed.conv_down.0",
        "classifier": "head",
        "license": "cc-by-nc-sa-4.0",
        "origin_url": f"https://huggingface.co/nvidia/{repository}",
        "paper_ids": "arXiv:2407.08083",
        "paper_name": "MambaVision: A Hybrid Mamba-Transformer Vision Backbone",
        **kwargs,
    }


_AT_256: dict[str, Any] = {"input_size": (3, 256, 256), "pool_size": (8, 8)}
_AT_512: dict[str, Any] = {
    "input_size": (3, 512, 512),
    "pool_size": (16, 16),
    "crop_pct": 0.93,
    "crop_mode": "squash",
}

default_cfgs = generate_default_cfgs(
    {
        "mambavision_tiny.nvidia_in1k": _cfg("MambaVision-T-1K"),
        "mambavision_tiny2.nvidia_in1k": _cfg("MambaVision-T2-1K", crop_pct=0.98),
        "mambavision_small.nvidia_in1k": _cfg("MambaVision-S-1K", crop_pct=0.93),
        "mambavision_base.nvidia_in1k": _cfg("MambaVision-B-1K"),
        "mambavision_base.nvidia_in21k_ft_in1k": _cfg("MambaVision-B-21K"),
        "mambavision_large.nvidia_in1k": _cfg("MambaVision-L-1K"),
        "mambavision_large.nvidia_in21k_ft_in1k": _cfg("MambaVision-L-21K"),
        "mambavision_large2.nvidia_in1k": _cfg("MambaVision-L2-1K"),
        "mambavision_large2_512.nvidia_in21k_ft_in1k": _cfg("MambaVision-L2-512-21K", **_AT_512),
        "mambavision_large3_256.nvidia_in21k_ft_in1k": _cfg("MambaVision-L3-256-21K", **_AT_256),
        "mambavision_large3_512.nvidia_in21k_ft_in1k": _cfg("MambaVision-L3-512-21K", **_AT_512),
    }
)

_HEADS_OF_LARGE = (4, 8, 16, 32)


def _create(variant: str, pretrained: bool, config: dict[str, Any]) -> MambaVision:
    out_indices = config.pop("out_indices", (0, 1, 2, 3))
    build: Callable[..., MambaVision] = build_model
    return build(
        MambaVision,
        variant,
        pretrained,
        feature_cfg={"out_indices": out_indices, "feature_cls": "getter"},
        **config,
    )


@register_model
def mambavision_tiny(pretrained: bool = False, **kwargs: Any) -> MambaVision:
    """MambaVision-T: 32 M parameters, 82.3 % top-1 on ImageNet-1k (authors)."""
    return _create("mambavision_tiny", pretrained, kwargs)


@register_model
def mambavision_tiny2(pretrained: bool = False, **kwargs: Any) -> MambaVision:
    """MambaVision-T2: 35 M parameters, 82.7 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (1, 3, 11, 4)}
    return _create("mambavision_tiny2", pretrained, config | kwargs)


@register_model
def mambavision_small(pretrained: bool = False, **kwargs: Any) -> MambaVision:
    """MambaVision-S: 50 M parameters, 83.3 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (3, 3, 7, 5), "dim": 96, "in_dim": 64}
    return _create("mambavision_small", pretrained, config | kwargs)


@register_model
def mambavision_base(pretrained: bool = False, **kwargs: Any) -> MambaVision:
    """MambaVision-B: 98 M parameters, 84.2 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (3, 3, 10, 5), "dim": 128, "in_dim": 64, "layer_scale": 1e-5}
    return _create("mambavision_base", pretrained, config | kwargs)


@register_model
def mambavision_large(pretrained: bool = False, **kwargs: Any) -> MambaVision:
    """MambaVision-L: 228 M parameters, 85.0 % top-1 on ImageNet-1k (authors)."""
    config = _large(depths=(3, 3, 10, 5))
    return _create("mambavision_large", pretrained, config | kwargs)


@register_model
def mambavision_large2(pretrained: bool = False, **kwargs: Any) -> MambaVision:
    """MambaVision-L2: 242 M parameters, 85.3 % top-1 on ImageNet-1k (authors)."""
    config = _large(depths=(3, 3, 12, 5))
    return _create("mambavision_large2", pretrained, config | kwargs)


@register_model
def mambavision_large2_512(pretrained: bool = False, **kwargs: Any) -> MambaVision:
    """MambaVision-L2 for 512 x 512 pixels, from ImageNet-21k, 87.3 % top-1 (authors)."""
    config = _large(depths=(3, 3, 12, 5), window_size=(8, 8, 32, 16))
    return _create("mambavision_large2_512", pretrained, config | kwargs)


@register_model
def mambavision_large3_256(pretrained: bool = False, **kwargs: Any) -> MambaVision:
    """MambaVision-L3 for 256 x 256 pixels, from ImageNet-21k, 740 M, 87.3 % top-1 (authors)."""
    config = _large(depths=(3, 3, 20, 10), dim=256, window_size=(8, 8, 16, 8))
    return _create("mambavision_large3_256", pretrained, config | kwargs)


@register_model
def mambavision_large3_512(pretrained: bool = False, **kwargs: Any) -> MambaVision:
    """MambaVision-L3 for 512 x 512 pixels, from ImageNet-21k, 740 M, 88.1 % top-1 (authors)."""
    config = _large(depths=(3, 3, 20, 10), dim=256, window_size=(8, 8, 32, 16))
    return _create("mambavision_large3_512", pretrained, config | kwargs)


def _large(**kwargs: Any) -> dict[str, Any]:
    return {
        "dim": 196,
        "in_dim": 64,
        "num_heads": _HEADS_OF_LARGE,
        "layer_scale": 1e-5,
        **kwargs,
    }
