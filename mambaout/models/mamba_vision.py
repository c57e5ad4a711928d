"""MambaVision: convolutions first, then windows of tokens that a scan and then attention mix.

Hatamizadeh & Kautz, "MambaVision: A Hybrid Mamba-Transformer Vision Backbone", CVPR 2025,
arXiv:2407.08083. Authors' weights: huggingface.co/nvidia, CC BY-NC-SA 4.0, for non-commercial use
only. Authors' code: github.com/NVlabs/MambaVision, NVIDIA Source Code License-NC. None of it is
used here: this file was written from a description of the network. Parameter names are those in the
authors' files, so that these load as they are.

Three things that pretrained weights expect: the bias of Δ counts twice, once in its projection and
once more in the scan; the convolutions beside the scan have no bias and see one token ahead; and
the second branch is no gate, it is put beside the scan's result.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath, Mlp, calculate_drop_path_rates
from timm.models import generate_default_cfgs, register_model
from timm.models._features import feature_take_indices
from timm.models._manipulate import checkpoint_seq
from torch import Tensor, nn

from mambaout.models.attention import MixingAttention
from mambaout.models.building import build_model
from mambaout.models.initial import classifier, init_linear, log_rates, step_projection
from mambaout.models.mixing import Mixing, check_mixing, set_mixing
from mambaout.models.pooling import checked_pool
from mambaout.models.token_grid import TokenGrid, token_grid
from mambaout.ops import ScanInputs, path_scan, raster_causal_mask


class MambaVisionMixer(nn.Module):
    """The scan's token mixer: half of the channels are scanned, half only convolved.

    Arxiv:2407.08083, equation 6. There is one scan, forward; in "causal" mixing the convolutions
    lose the tap that looks one token ahead.

    Args:
        dim: width of the tokens.
        mixing: whether the convolutions may look ahead.
    """

    def __init__(self, dim: int, mixing: Mixing = "bidirectional") -> None:
        super().__init__()
        inner = dim // 2
        self.d_state = 8
        self.dt_rank = math.ceil(dim / 16)
        self.mixing: Mixing = mixing
        self.in_proj = nn.Linear(dim, dim, bias=False)
        self.conv1d_x = nn.Conv1d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.conv1d_z = nn.Conv1d(inner, inner, 3, padding=1, groups=inner, bias=False)
        self.x_proj = nn.Linear(inner, self.dt_rank + 2 * self.d_state, bias=False)
        self.dt_proj = step_projection(self.dt_rank, inner)
        self.A_log = log_rates(inner, self.d_state)
        self.D = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(dim, dim, bias=False)
        for layer in (self.in_proj, self.x_proj, self.out_proj):
            init_linear(layer)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (b, l, dim) in the order of the scan → (b, l, dim)."""
        beside, scan = self._project(x)
        y = path_scan(**scan)[0]
        return self.out_proj(torch.cat([y, beside], dim=-1))  # type: ignore[no-any-return]

    def scan_inputs(self, x: Tensor) -> list[ScanInputs]:
        """What the scan is given for square windows of tokens ``x`` (b, l, dim); see `ScanInputs`."""
        side = math.isqrt(x.shape[1])
        _, scan = self._project(x)
        delta = F.softplus(scan["delta"].float() + scan["delta_bias"].float())
        return [
            ScanInputs(
                path="forward",
                order=torch.arange(x.shape[1], device=x.device),
                u=scan["u"][0].mT,
                delta=delta[0].mT,
                A=scan["A"][0],
                B=scan["B"][0].mT,
                C=scan["C"][0].mT,
                D=scan["D"][0],
                grid=(side, side),
            )
        ]

    def _project(self, x: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """What stands beside the scan's result, (b, l, d), and the arguments of `path_scan`."""
        scanned, beside = self.in_proj(x).chunk(2, dim=-1)
        u = self._convolved(scanned, self.conv1d_x)
        step, B, C = self.x_proj(u).split([self.dt_rank, self.d_state, self.d_state], dim=-1)
        return self._convolved(beside, self.conv1d_z), {
            "u": u[None],
            "delta": F.linear(step, self.dt_proj.weight)[None],
            "A": -torch.exp(self.A_log.float())[None],
            "B": B[None],
            "C": C[None],
            "D": self.D[None],
            # Twice, as the authors' code adds it: the weights were trained so.
            "delta_bias": 2 * self.dt_proj.bias[None],
            "reverse": (False,),
        }

    def _convolved(self, x: Tensor, conv: nn.Conv1d) -> Tensor:
        weight = conv.weight
        if self.mixing == "causal":
            weight = weight * raster_causal_mask(1, weight.shape[-1]).to(weight)
        y = F.conv1d(x.mT, weight, padding=conv.padding, groups=conv.groups)
        return F.silu(y).mT

    def extra_repr(self) -> str:
        return f"mixing={self.mixing!r}"


class MambaVisionBlock(nn.Module):
    """Norm, mixer, residual; norm, MLP, residual: on tokens (b, l, dim) of one window."""

    def __init__(
        self,
        dim: int,
        mixer: nn.Module,
        mlp_ratio: float,
        layer_scale: float | None,
        drop_path: float,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.mixer = mixer
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        for layer in (self.mlp.fc1, self.mlp.fc2):
            init_linear(layer)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.gamma_1: nn.Parameter | None
        self.gamma_2: nn.Parameter | None
        for name in ("gamma_1", "gamma_2"):
            gamma = None if layer_scale is None else nn.Parameter(torch.full((dim,), layer_scale))
            self.register_parameter(name, gamma)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(_scaled(self.mixer(self.norm1(x)), self.gamma_1))
        return x + self.drop_path(_scaled(self.mlp(self.norm2(x)), self.gamma_2))  # type: ignore[no-any-return]


class ConvBlock(nn.Module):
    """Two convolutions and a residual on a map, (b, c, h, w)."""

    def __init__(self, dim: int, drop_path: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(dim, dim, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(dim)
        self.conv2 = nn.Conv2d(dim, dim, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(dim)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = F.gelu(self.norm1(self.conv1(x)), approximate="tanh")
        return x + self.drop_path(self.norm2(self.conv2(y)))  # type: ignore[no-any-return]


class WindowBlocks(nn.Sequential):
    """Blocks that see the tokens of one window of a map each; a map in, (b, c, h, w), a map out.

    A map that the windows do not cover is filled up with zeros below and to the right; these tokens
    take part like all others, and are cut off at the end.

    Args:
        *blocks: what runs on tokens (b · windows, side², c), by rows inside a window.
        side: height and width of a window [tokens].
    """

    def __init__(self, *blocks: nn.Module, side: int) -> None:
        super().__init__(*blocks)
        self.side = side
        self.grad_checkpointing = False

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.side, 0, -height % self.side))
        down, across = (size // self.side for size in x.shape[-2:])
        # (b, c, h, w) -> (b, c, down, side, across, side) -> (b·down·across, side², c)
        x = x.unflatten(3, (across, self.side)).unflatten(2, (down, self.side))
        tokens = x.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(0, 2)
        if self.grad_checkpointing and torch.is_grad_enabled():
            tokens = checkpoint_seq(list(self), tokens)
        else:
            tokens = super().forward(tokens)
        x = tokens.unflatten(1, (self.side, self.side)).unflatten(0, (-1, down, across))
        x = x.permute(0, 5, 1, 3, 2, 4).flatten(4, 5).flatten(2, 3)
        return x[..., :height, :width].contiguous()

    def extra_repr(self) -> str:
        return f"side={self.side}"


class Stem(nn.Module):
    """Two strided convolutions: pictures (b, c, H, W) → a map (b, dim, H/4, W/4)."""

    def __init__(self, in_chans: int, in_dim: int, dim: int) -> None:
        super().__init__()
        self.conv_down = nn.Sequential(
            nn.Conv2d(in_chans, in_dim, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(in_dim, eps=1e-4),
            nn.ReLU(),
            nn.Conv2d(in_dim, dim, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(dim, eps=1e-4),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_down(x)  # type: ignore[no-any-return]


class Downsample(nn.Module):
    """Half the height and width, twice the channels: (b, c, h, w) → (b, 2c, h/2, w/2)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.reduction = nn.Sequential(
            nn.Conv2d(dim, 2 * dim, 3, stride=2, padding=1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.reduction(x)  # type: ignore[no-any-return]


class Level(nn.Module):
    """Blocks at one resolution, then the way to the next: a map in, a map out."""

    def __init__(self, blocks: nn.Sequential, downsample: nn.Module) -> None:
        super().__init__()
        self.blocks = blocks
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        return self.downsample(self.blocks(x))  # type: ignore[no-any-return]


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
        rates = iter(calculate_drop_path_rates(drop_path_rate, list(depths), stagewise=False))
        self.levels = nn.ModuleList()
        for i, depth in enumerate(depths):
            blocks: nn.Sequential
            if i < 2:
                blocks = nn.Sequential(*(ConvBlock(dims[i], next(rates)) for _ in range(depth)))
            else:
                blocks = WindowBlocks(
                    *(
                        MambaVisionBlock(
                            dims[i],
                            _mixer(j, depth, dims[i], num_heads[i], mixing),
                            mlp_ratio,
                            layer_scale,
                            next(rates),
                        )
                        for j in range(depth)
                    ),
                    side=window_size[i],
                )
            self.levels.append(Level(blocks, Downsample(dims[i]) if i < 3 else nn.Identity()))
        self.norm = nn.BatchNorm2d(dims[-1])
        self.global_pool = checked_pool(global_pool, "avg")
        self.head_drop = nn.Dropout(drop_rate)
        self.head = classifier(dims[-1], num_classes)
        # The maps before they are halved; a level's own output is the next one's input.
        self.feature_info = [
            {"module": f"levels.{i}.blocks", "num_chs": dims[i], "reduction": 4 * 2**i}
            for i in range(4)
        ]

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
        for level in self.levels:
            if isinstance(level.blocks, WindowBlocks):
                level.blocks.grad_checkpointing = enable

    def get_classifier(self) -> nn.Module:
        return self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        self.num_classes = num_classes
        if global_pool is not None:
            self.global_pool = checked_pool(global_pool, "avg")
        self.head = classifier(self.num_features, num_classes).to(self.norm.weight)

    def forward_features(self, x: Tensor) -> Tensor:
        """Pictures (b, c, H, W) → the last, normed map (b, 8·dim, H/32, W/32)."""
        x = self.patch_embed(x)
        for level in self.levels:
            x = level(x)
        return self.norm(x)  # type: ignore[no-any-return]

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | list[int] | tuple[int, ...] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """The maps of chosen levels, and the final map unless ``intermediates_only``.

        Args:
            x: pictures, (b, c, H, W).
            indices: the last n levels if an int, these levels if a sequence, all if None.
            norm: pass the last level's map through the final norm; the others have none.
            stop_early: do not run the levels after the last one asked for.
            output_fmt: "NCHW", the only one.

        Raises:
            ValueError: another ``output_fmt``.
        """
        if output_fmt != "NCHW":
            raise ValueError(f'output_fmt must be "NCHW", got {output_fmt!r}')
        take, last = feature_take_indices(len(self.levels), indices)
        final = len(self.feature_info) - 1
        x = self.patch_embed(x)
        intermediates = []
        for i, level in enumerate(self.levels[: last + 1] if stop_early else self.levels):
            kept = level.blocks(x)
            if i in take:
                intermediates.append(self.norm(kept) if norm and i == final else kept)
            x = level.downsample(kept)
        if intermediates_only:
            return intermediates
        return self.norm(x), intermediates

    def prune_intermediate_layers(
        self,
        indices: int | list[int] | tuple[int, ...] = 1,
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


@set_mixing.register
def _(mixer: MambaVisionMixer, mixing: Mixing) -> bool:
    mixer.mixing = mixing
    return True


@token_grid.register
def _(model: MambaVision) -> TokenGrid:
    targets = tuple(f"levels.{i}.blocks" for i in range(len(model.levels)))
    # The second last level: the last has 7 x 7 tokens at 224 pixels, too coarse to point at things.
    return TokenGrid(layout="nchw", targets=targets, default_target=targets[-2])


def _mixer(index: int, depth: int, dim: int, heads: int, mixing: Mixing) -> nn.Module:
    if index < math.ceil(depth / 2):
        return MambaVisionMixer(dim, mixing=mixing)
    attention = MixingAttention(dim, num_heads=heads, qkv_bias=True, mixing=mixing)
    for layer in (attention.qkv, attention.proj):
        init_linear(layer)
    return attention


def _scaled(x: Tensor, gamma: Tensor | None) -> Tensor:
    return x if gamma is None else gamma * x


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
