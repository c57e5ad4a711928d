"""PlainMamba: one stack of blocks, four serpentine scans each that know which way they step.

Yang et al., "PlainMamba: Improving Non-Hierarchical Mamba in Visual Recognition", BMVC 2024,
arXiv:2403.17695. Authors' code and weights: github.com/ChenhongyiYang/PlainMamba at 0975a1d,
Apache-2.0. Written from the description of that network; parameter names are the authors', so that
their files load without their prefixes.

Two things differ from the paper, and pretrained weights expect both: only the scanned input is put
in the order of the path, while the step sizes and the matrices B and C stay in raster order; and
the bias of Δ counts twice, once in its projection and once more in the scan.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath, trunc_normal_
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from mambaout.errors import Sentence
from mambaout.models.building import build_model
from mambaout.models.mixing import why_no_causal_form
from mambaout.models.plain_mamba_mixer import PlainMambaMixer
from mambaout.models.position import resize_grid
from mambaout.models.scan_paths import why_paths_are_fixed
from mambaout.models.staged import drop_path_rates
from mambaout.models.token_grid import TokenGrid, block_titles, token_grid
from mambaout.models.token_stack import TokenStack

_PATCH = 16  # pixels: the stem halves them, the projection takes 8 x 8


class PlainMambaBlock(nn.Module):
    """Norm, mixer, residual on a map of tokens (b, h, w, dim).

    Args:
        dim: width of the tokens.
        depthwise: whether a depthwise 3 x 3 convolution then takes the place of the result.
        drop_path: stochastic depth.
        **mixer: as `PlainMambaMixer` takes them.
    """

    def __init__(self, dim: int, depthwise: bool, drop_path: float, **mixer: Any) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.mamba = PlainMambaMixer(dim, **mixer)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.dw: nn.Sequential | None = None
        if depthwise:
            conv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim, bias=False)
            self.dw = nn.Sequential(conv, nn.BatchNorm2d(dim), nn.GELU())

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.mamba(self.norm(x)))
        if self.dw is not None:
            x = self.dw(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x


class PatchEmbed(nn.Module):
    """A few convolutions, then patches: (b, c, H, W) → a map of tokens (b, H/16, W/16, dim).

    Sizes that are no multiple are filled up with zeros before the patches, below and to the right.
    """

    def __init__(self, in_chans: int, dim: int, num_convs: int) -> None:
        super().__init__()
        stem = nn.Conv2d(in_chans, 64, 7, stride=2, padding=3, bias=False)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(64), nn.ReLU())
        convs: list[nn.Module] = []
        for _ in range(num_convs):
            conv = nn.Conv2d(64, 64, 3, padding=1, bias=False)
            convs += [conv, nn.BatchNorm2d(64), nn.ReLU()]
        self.convs = nn.Sequential(*convs)
        self.projection = nn.Conv2d(64, dim, 8, stride=8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.convs(self.stem(x))
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % 8, 0, -height % 8))
        return self.projection(x).permute(0, 2, 3, 1)  # type: ignore[no-any-return]


class PlainMamba(TokenStack):
    """PlainMamba, with the interface of timm's models. Pictures may have any size.

    Args:
        img_size: height and width that the position embeddings are made for [px], or one number.
        in_chans: channels of a picture.
        num_classes: width of the classifier; 0 for none.
        global_pool: "avg" for the mean of the tokens, "" for no pooling.
        embed_dim: width of the tokens.
        depth: number of blocks.
        d_state: state size per channel, N.
        expand: scan channels per token channel.
        num_convs: 3 x 3 convolutions before the patches.
        depthwise_layers: blocks that end in a depthwise convolution.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth, growing linearly with the depth.
    """

    norm_name = "ln1"
    undecayed = ("A_log", "D", "direction_Bs", "pos_embed")
    native_fmt = "NHWC"

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        embed_dim: int = 192,
        depth: int = 24,
        d_state: int = 16,
        expand: int = 2,
        num_convs: int = 1,
        depthwise_layers: Sequence[int] = (),
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(embed_dim, in_chans, num_classes)
        self.output_fmt = "NHWC"
        self.global_pool = self._checked_pool(global_pool)
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.grid = (math.ceil(height / _PATCH), math.ceil(width / _PATCH))
        self.patch_embed = PatchEmbed(in_chans, embed_dim, num_convs)
        self.pos_embed = nn.Parameter(torch.empty(1, math.prod(self.grid), embed_dim))
        trunc_normal_(self.pos_embed, std=0.02)
        (rates,) = drop_path_rates(drop_path_rate, [depth])
        self.layers = nn.ModuleList(
            PlainMambaBlock(
                embed_dim, i in depthwise_layers, rates[i], d_state=d_state, expand=expand
            )
            for i in range(depth)
        )
        self._add_head(nn.LayerNorm(embed_dim, eps=1e-6), drop_rate, _PATCH)

    def _pools(self) -> tuple[str, ...]:
        return ("avg",)

    def _tokens(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """A picture's tokens with their positions, (b, h, w, d), and their grid."""
        x = self.patch_embed(x)
        position: Tensor = self.pos_embed
        grid = (x.shape[1], x.shape[2])
        if grid != self.grid:
            position = resize_grid(position, self.grid, grid, antialias=False)
        return x + position.unflatten(1, grid), grid

    def _maps(self, tokens: Tensor, grid: tuple[int, int]) -> Tensor:  # noqa: ARG002 - in its shape
        return tokens.permute(0, 3, 1, 2)

    def _pooled(self, tokens: Tensor) -> Tensor:
        return tokens.mean((1, 2)) if self.global_pool == "avg" else tokens


@why_no_causal_form.register
def _(_model: PlainMamba) -> str | None:
    return Sentence(
        "PlainMamba has no causal form: its weights were trained with scans that reorder only the "
        "input and leave the step sizes, B and C in raster order, so that no path is causal, not "
        "even in its own order."
    )


@why_paths_are_fixed.register
def _(_model: PlainMamba) -> str:
    return Sentence(
        "PlainMamba's paths are fixed: its four walks share one set of parameters and are added up "
        "without a norm or a mean, so that no scale would be right for fewer."
    )


@token_grid.register
def _(model: PlainMamba) -> TokenGrid:
    targets = tuple(f"layers.{i}.norm" for i in range(len(model.layers)))
    return TokenGrid(
        layout="nhwc",
        targets=targets,
        titles=block_titles(len(targets)),
        default_target=targets[-1],
        grid=model.grid,
    )


def checkpoint_filter_fn(state_dict: dict[str, Tensor], model: PlainMamba) -> dict[str, Tensor]:
    """The authors' tensors for ``model``: their wrapper's prefixes gone, positions resized."""
    tensors = {
        name.removeprefix("backbone.").replace("head.fc.", "head."): tensor
        for name, tensor in state_dict.items()
    }
    position = tensors.get("pos_embed")
    if position is None or position.shape == model.pos_embed.shape:
        return tensors
    side = math.isqrt(position.shape[1])
    if side * side != position.shape[1] or position.shape[2] != model.embed_dim:
        return tensors  # not a square grid of this width: the strict loader names the mismatch
    resized = resize_grid(position, (side, side), model.grid, antialias=False)
    return {**tensors, "pos_embed": resized}


def _cfg(filename: str) -> dict[str, Any]:
    return {
        "hf_hub_id": "ChenhongyiYang/PlainMamba",
        "hf_hub_filename": filename,
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": (14, 14),
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "patch_embed.stem.0",
        "classifier": "head",
        "license": "apache-2.0",
        "origin_url": "https://github.com/ChenhongyiYang/PlainMamba",
        "paper_ids": "arXiv:2403.17695",
        "paper_name": "PlainMamba: Improving Non-Hierarchical Mamba in Visual Recognition",
    }


default_cfgs = generate_default_cfgs(
    {
        "plainmamba_l1.chenhongyiyang_in1k": _cfg("l1.pth"),
        "plainmamba_l2.chenhongyiyang_in1k": _cfg("l2.pth"),
        "plainmamba_l3.chenhongyiyang_in1k": _cfg("l3.pth"),
    }
)


def _create(variant: str, pretrained: bool, config: dict[str, Any]) -> PlainMamba:
    out_indices = config.pop("out_indices", 3)
    build: Callable[..., PlainMamba] = build_model
    return build(
        PlainMamba,
        variant,
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg={"out_indices": out_indices, "feature_cls": "getter"},
        **config,
    )


@register_model
def plainmamba_l1(pretrained: bool = False, **kwargs: Any) -> PlainMamba:
    """PlainMamba-L1: 7 M parameters, 77.9 % top-1 on ImageNet-1k (authors)."""
    config = {"embed_dim": 192, "depth": 24, "depthwise_layers": (0,)}
    return _create("plainmamba_l1", pretrained, config | kwargs)


@register_model
def plainmamba_l2(pretrained: bool = False, **kwargs: Any) -> PlainMamba:
    """PlainMamba-L2: 26 M parameters, 81.6 % top-1 on ImageNet-1k (authors)."""
    config = {"embed_dim": 384, "depth": 24, "num_convs": 2}
    return _create("plainmamba_l2", pretrained, config | kwargs)


@register_model
def plainmamba_l3(pretrained: bool = False, **kwargs: Any) -> PlainMamba:
    """PlainMamba-L3: 51 M parameters, 82.3 % top-1 on ImageNet-1k (authors)."""
    config = {"embed_dim": 448, "depth": 36, "num_convs": 2}
    return _create("plainmamba_l3", pretrained, config | kwargs)
