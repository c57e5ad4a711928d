"""EfficientVMamba: every token scanned once, on one of four sub-grids; then convolutions alone.

Pei et al., "EfficientVMamba: Atrous Selective Scan for Light Weight Visual Mamba",
arXiv:2403.09977. Authors' code and weights: github.com/TerryPei/EfficientVMamba at 0bc5ee2, whose
README names Apache-2.0. Written from the description of that network; parameter names are the
authors', so that their files load as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from timm.models import generate_default_cfgs, register_model
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._manipulate import checkpoint_seq
from torch import Tensor, nn

from mambaout.errors import Sentence
from mambaout.models.building import build_model
from mambaout.models.channel_gate import ChannelGate
from mambaout.models.grid_scan import GridScan
from mambaout.models.mixing import why_no_causal_form
from mambaout.models.scan_paths import why_paths_are_fixed
from mambaout.models.staged import (
    BlockStage,
    PatchMerging,
    Stage,
    StagedModel,
    drop_path_rates,
    patch_stem,
    stage_widths,
    to_nchw,
    to_nhwc,
)

# First row, first column and direction of each path's sub-grid, in the order of the parameters.
_SUBGRIDS = ((0, 0, "row"), (1, 0, "column"), (0, 1, "row"), (1, 1, "column"))


class AtrousScan(GridScan):
    """Four scans, each of every other token in every other row, so that no token is scanned twice.

    Grids of an odd height or width are filled up with zeros below and to the right after the
    convolution, and scanned so. No path runs from the end.
    """

    paths = tuple(f"{direction} from ({i}, {j})" for i, j, direction in _SUBGRIDS)

    @staticmethod
    def _subgrids(grid: Tensor) -> list[Tensor]:
        """A map (b, h, w, c) of even height and width → four sequences (b, h*w/4, c)."""
        parts = [(grid[:, i::2, j::2], direction) for i, j, direction in _SUBGRIDS]
        return [
            (part.transpose(1, 2) if direction == "column" else part).flatten(1, 2)
            for part, direction in parts
        ]

    def _orders(self, height: int, width: int, device: torch.device) -> list[Tensor]:
        tokens = height * width
        grid = torch.arange(tokens, device=device).view(1, height, width, 1)
        grid = F.pad(grid, (0, 0, 0, width % 2, 0, height % 2), value=tokens)
        return [order.flatten() for order in self._subgrids(grid)]

    def _sequences(self, u: Tensor) -> Tensor:
        _, height, width, _ = u.shape
        return torch.stack(self._subgrids(F.pad(u, (0, 0, 0, width % 2, 0, height % 2))))

    def _merged(self, y: Tensor, height: int, width: int) -> Tensor:
        down, across = (height + 1) // 2, (width + 1) // 2
        merged = y.new_empty(y.shape[1], 2 * down, 2 * across, y.shape[3])
        for results, (i, j, direction) in zip(y, _SUBGRIDS, strict=True):
            if direction == "column":
                part = results.unflatten(1, (across, down)).transpose(1, 2)
            else:
                part = results.unflatten(1, (down, across))
            merged[:, i::2, j::2] = part
        return merged[:, :height, :width]

    def extra_repr(self) -> str:
        return f"paths={self.paths}"


class AtrousBlock(nn.Module):
    """A scan beside a convolution, through the same channel gate ("EVSS"), on (b, h, w, dim)."""

    def __init__(self, dim: int, drop_path: float, **mixer: Any) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.op = AtrousScan(dim, **mixer)
        self.conv_branch = nn.Sequential(
            nn.Conv2d(dim, dim, 3, padding=1, groups=dim),
            nn.BatchNorm2d(dim),
            nn.GELU(),
            nn.Conv2d(dim, dim, 1),
        )
        self.se = ChannelGate(dim)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        scanned = self.op(normed)
        convolved = self.conv_branch(normed.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.drop_path(self._gated(scanned) + self._gated(convolved))  # type: ignore[no-any-return]

    def _gated(self, x: Tensor) -> Tensor:
        gated: Tensor = self.se(x.flatten(1, 2))
        return gated.view(x.shape)


class InvertedResidual(nn.Module):
    """MobileNetV2's block with squeeze and excitation, on (b, dim, h, w)."""

    def __init__(self, dim: int, drop_path: float, expansion: int = 4) -> None:
        super().__init__()
        inner = expansion * dim
        self.conv_pw = nn.Sequential(
            nn.Conv2d(dim, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()
        )
        self.conv_dw = nn.Sequential(
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
        )
        self.se = SqueezeExcite(inner, rd_ratio=1 / 8)
        self.conv_pw2 = nn.Sequential(nn.Conv2d(inner, dim, 1, bias=False), nn.BatchNorm2d(dim))
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_pw2(self.se(self.conv_dw(self.conv_pw(x))))
        return x + self.drop_path(y)  # type: ignore[no-any-return]


class ConvStage(Stage):
    """A stage of inverted residuals; modules are numbered as the authors', permutations too."""

    def __init__(self, dim: int, drop_path: Sequence[float], out_dim: int | None) -> None:
        super().__init__()
        blocks = [InvertedResidual(dim, rate) for rate in drop_path]
        self.output = str(len(blocks) + 1)
        for i, module in enumerate([to_nchw(), *blocks, to_nhwc()]):
            self.add_module(str(i), module)
        if out_dim is not None:
            self.add_module(str(len(blocks) + 2), PatchMerging(dim, out_dim))

    def run_blocks(self, x: Tensor) -> Tensor:
        layers = list(self.children())[: int(self.output) + 1]
        if self._checkpoints():
            return checkpoint_seq(layers, x)  # type: ignore[no-any-return]
        for layer in layers:
            x = layer(x)
        return x

    def shrink(self, x: Tensor) -> Tensor:
        for layer in list(self.children())[int(self.output) + 1 :]:
            x = layer(x)
        return x


class EfficientVMamba(StagedModel):
    """EfficientVMamba, with the interface of timm's models; accepts pictures of any size.

    The first two stages scan, the others convolve.

    Args:
        in_chans: channels of a picture.
        num_classes: width of the classifier; 0 for none.
        global_pool: "avg" for the mean over the last map, "" to leave it as it is.
        depths: number of blocks in each stage.
        dims: width of each stage; or of the first, then they double.
        d_state: state size per channel, N.
        ssm_ratio: scan channels per token channel.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth, growing linearly with the depth.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        depths: Sequence[int] = (2, 2, 4, 2),
        dims: int | Sequence[int] = 48,
        d_state: int = 16,
        ssm_ratio: float = 2.0,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        dims = stage_widths(dims, len(depths))
        rates = drop_path_rates(drop_path_rate, depths)
        stages: list[Stage] = []
        for i, dim in enumerate(dims):
            out_dim = dims[i + 1] if i + 1 < len(dims) else None
            if i < 2:
                blocks = [
                    AtrousBlock(dim, rate, d_state=d_state, ssm_ratio=ssm_ratio)
                    for rate in rates[i]
                ]
                merging = nn.Identity() if out_dim is None else PatchMerging(dim, out_dim)
                stages.append(BlockStage(blocks, merging))
            else:
                stages.append(ConvStage(dim, rates[i], out_dim))
        super().__init__(
            patch_stem(in_chans, dims[0]),
            stages,
            dims,
            in_chans=in_chans,
            num_classes=num_classes,
            global_pool=global_pool,
            drop_rate=drop_rate,
        )


@why_no_causal_form.register
def _(_model: EfficientVMamba) -> str:
    return Sentence(
        "EfficientVMamba has no causal form: it scans each token once and one way already, on a "
        "quarter of the grid, so that there is no path to take away; and what sees all tokens, the "
        "channel gate beside every scan, cannot be left out of the network"
    )


@why_paths_are_fixed.register
def _(_model: EfficientVMamba) -> str:
    return Sentence(
        "EfficientVMamba's paths are fixed: each token is on one of the four, so that without a "
        "path a quarter of the tokens would be read by none."
    )


def _cfg(**kwargs: Any) -> dict[str, Any]:
    return {
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": (7, 7),
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "patch_embed.0",
        "classifier": "classifier.head",
        "license": "apache-2.0",
        "origin_url": "https://github.com/TerryPei/EfficientVMamba",
        "paper_ids": "arXiv:2403.09977",
        "paper_name": "EfficientVMamba: Atrous Selective Scan for Light Weight Visual Mamba",
        **kwargs,
    }


def _official(size: str) -> dict[str, Any]:
    return _cfg(
        hf_hub_id=f"TerryPei/EfficientVMamba-{size.title()}",
        hf_hub_filename=f"efficient_vmamba_{size}.ckpt",
    )


default_cfgs = generate_default_cfgs(
    {
        "efficientvmamba_tiny.terrypei_in1k": _official("tiny"),
        "efficientvmamba_small.terrypei_in1k": _official("small"),
        "efficientvmamba_base.terrypei_in1k": _official("base"),
    }
)


def _create(variant: str, pretrained: bool, config: dict[str, Any]) -> EfficientVMamba:
    out_indices = config.pop("out_indices", tuple(range(len(config["depths"]))))
    build: Callable[..., EfficientVMamba] = build_model
    return build(
        EfficientVMamba,
        variant,
        pretrained,
        feature_cfg={"out_indices": out_indices, "feature_cls": "getter"},
        **config,
    )


@register_model
def efficientvmamba_tiny(pretrained: bool = False, **kwargs: Any) -> EfficientVMamba:
    """EfficientVMamba-T: 6 M parameters, 76.5 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (2, 2, 4, 2), "dims": 48}
    return _create("efficientvmamba_tiny", pretrained, config | kwargs)


@register_model
def efficientvmamba_small(pretrained: bool = False, **kwargs: Any) -> EfficientVMamba:
    """EfficientVMamba-S: 11 M parameters, 78.7 % top-1 on ImageNet-1k (authors).

    The authors' configuration file says width 96; their log and their weights say 64.
    """
    config = {"depths": (2, 2, 4, 2), "dims": 64}
    return _create("efficientvmamba_small", pretrained, config | kwargs)


@register_model
def efficientvmamba_base(pretrained: bool = False, **kwargs: Any) -> EfficientVMamba:
    """EfficientVMamba-B: 33 M parameters, 81.8 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (2, 2, 9, 2), "dims": 96}
    return _create("efficientvmamba_base", pretrained, config | kwargs)
