"""LocalVMamba: VMamba's first generation with searched paths in every block, windows among them.

Huang et al., "LocalMamba: Visual State Space Model with Windowed Selective Scan", arXiv:2403.09338.
Authors' code and weights: github.com/hunto/LocalMamba at 75e5d1f, Apache-2.0. Written from the
description of that network; parameter names are the authors', so that their files load as they are.

Which paths a block takes is not in its weights: a wrong list loads without an error. The lists
below are those of the authors' registered models.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from timm.layers import DropPath
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from mambaout.errors import Sentence
from mambaout.models.building import build_model
from mambaout.models.channel_gate import ChannelGate
from mambaout.models.grid_scan import N_PATHS, GridScan
from mambaout.models.mixing import why_no_causal_form
from mambaout.models.scan_paths import why_paths_are_fixed
from mambaout.models.staged import (
    BlockStage,
    PatchMerging,
    StagedModel,
    drop_path_rates,
    patch_stem,
    stage_widths,
)
from mambaout.ops import ScanOrder, scan_order


class LocalScan(GridScan):
    """Four scans in the directions given (see `mambaout.ops.scan_order`), each gated by channel.

    The gate's weights are the same for the four paths. Windows that do not fit the grid are filled
    up with zeros after the convolution, and scanned so.

    Args:
        dim: width of the tokens.
        directions: the four paths, such as ("h", "v_flip", "w2", "w7").
        d_state: state size of each channel, N.
        ssm_ratio: the scans run in ``int(ssm_ratio * dim)`` channels.
    """

    def __init__(
        self, dim: int, directions: Sequence[str], d_state: int = 16, ssm_ratio: float = 2.0
    ) -> None:
        super().__init__(dim, d_state, ssm_ratio)
        if len(directions) != N_PATHS:
            raise ValueError(f"a block has {N_PATHS} directions, got {tuple(directions)}")
        for direction in directions:
            scan_order(direction, 1, 1)  # raises ValueError where there is none of that name
        self.paths = tuple(directions)
        self.multi_scan = nn.ModuleDict({"attn": ChannelGate(self.out_norm.normalized_shape[0])})

    def _walks(self, height: int, width: int, device: torch.device) -> list[ScanOrder]:
        return [scan_order(path, height, width, device) for path in self.paths]

    def _orders(self, height: int, width: int, device: torch.device) -> list[Tensor]:
        return [walk.order for walk in self._walks(height, width, device)]

    def _sequences(self, u: Tensor) -> Tensor:
        walks = self._walks(u.shape[1], u.shape[2], u.device)
        longest = max(len(walk.order) for walk in walks)
        sequences = [walk.along(u.flatten(1, 2)) for walk in walks]
        # One scan for all: zeros after the end of a path do not reach what comes before.
        return torch.stack([F.pad(s, (0, 0, 0, longest - s.shape[1])) for s in sequences])

    def _merged(self, y: Tensor, height: int, width: int) -> Tensor:
        walks = self._walks(height, width, y.device)
        maps = torch.stack([walk.back(path) for walk, path in zip(walks, y, strict=True)])
        gated: Tensor = self.multi_scan["attn"](maps).sum(0)
        return gated.view(gated.shape[0], height, width, -1)

    def extra_repr(self) -> str:
        return f"paths={self.paths}"


class LocalBlock(nn.Module):
    """Norm, mixer, residual: ``x + mixer(norm(x))`` on (b, h, w, dim)."""

    def __init__(self, dim: int, drop_path: float, **mixer: Any) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.op = LocalScan(dim, **mixer)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.op(self.norm(x)))  # type: ignore[no-any-return]


class LocalVMamba(StagedModel):
    """LocalVMamba, with the interface of timm's models; accepts pictures of any size.

    Args:
        directions: the four paths of each block, block by block through all stages.
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
        directions: Sequence[Sequence[str]],
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        depths: Sequence[int] = (2, 2, 9, 2),
        dims: int | Sequence[int] = 96,
        d_state: int = 16,
        ssm_ratio: float = 2.0,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        if len(directions) != sum(depths):
            raise ValueError(
                f"directions must have one entry per block (={sum(depths)}), got {len(directions)}"
            )
        dims = stage_widths(dims, len(depths))
        rates = drop_path_rates(drop_path_rate, depths)
        rest = iter(directions)
        stages = [
            BlockStage(
                [
                    LocalBlock(
                        dim, rate, directions=next(rest), d_state=d_state, ssm_ratio=ssm_ratio
                    )
                    for rate in rates[i]
                ],
                PatchMerging(dim, dims[i + 1]) if i + 1 < len(dims) else nn.Identity(),
            )
            for i, dim in enumerate(dims)
        ]
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
def _(_model: LocalVMamba) -> str:
    return Sentence(
        "LocalVMamba has no causal form: the gate of every mixer takes the mean over all tokens, "
        "and some of its blocks have no path by rows that would be left"
    )


@why_paths_are_fixed.register
def _(_model: LocalVMamba) -> str:
    return Sentence(
        "LocalVMamba's paths are fixed: each block scans in four directions of its own, and the "
        "name of a path means another one in the next block."
    )


def _directions(listing: str) -> tuple[tuple[str, ...], ...]:
    """Blocks from lines of four directions; "'" stands for "_flip"."""
    return tuple(
        tuple(word.replace("'", "_flip") for word in line.split()) for line in listing.splitlines()
    )


_TINY = _directions(
    """h h' w7 w7'
h' v' w2 w2'
h' v' w2' w7
h' v v' w2
h h' v' w2'
h' v' w2 w2'
h w2' w7 w7'
h h' v v'
h v' w7 w7'
h' v w2 w7'
v v' w2 w7'
h h' v' w2'
v' w2' w7 w7'
h' v' w2' w7'
h' v w7 w7'"""
)

_SMALL = _directions(
    """h v v' w7'
h h' v w7
h' v v' w7
h' v w2' w7
h' v w2' w7
h' v' w2 w7'
h' v v' w7
h v v' w7
h v v' w7
h v v' w7'
h h' v v'
h v v' w2
v v' w2' w7
h h' v w2
h' v v' w7'
h h' v v'
h v v' w7'
h v v' w7'
h h' v' w7
h' v' w2' w7
h' v v' w7'
v v' w7 w7'
h v v' w7'
h' v v' w2
h v v' w2'
h h' v w7
h h' w7 w7'
h v' w2 w2'
h v' w2 w7
h v v' w7'
h' v w2' w7
h' v' w7 w7'
h v w7 w7'"""
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
        "origin_url": "https://github.com/hunto/LocalMamba",
        "paper_ids": "arXiv:2403.09338",
        "paper_name": "LocalMamba: Visual State Space Model with Windowed Selective Scan",
        **kwargs,
    }


default_cfgs = generate_default_cfgs(
    {
        # The authors announce weights for the small model alone: the tiny one's file is not there.
        "localvmamba_tiny": _cfg(),
        "localvmamba_small.hunto_in1k": _cfg(
            url="https://github.com/hunto/LocalMamba/releases/download/v1.0.0/local_vssm_small.ckpt"
        ),
    }
)


def _create(variant: str, pretrained: bool, config: dict[str, Any]) -> LocalVMamba:
    out_indices = config.pop("out_indices", tuple(range(len(config["depths"]))))
    build: Callable[..., LocalVMamba] = build_model
    return build(
        LocalVMamba,
        variant,
        pretrained,
        feature_cfg={"out_indices": out_indices, "feature_cls": "getter"},
        **config,
    )


@register_model
def localvmamba_tiny(pretrained: bool = False, **kwargs: Any) -> LocalVMamba:
    """LocalVMamba-T: 26 M parameters, 82.7 % top-1 on ImageNet-1k (authors)."""
    config = {"directions": _TINY, "depths": (2, 2, 9, 2), "dims": 96}
    return _create("localvmamba_tiny", pretrained, config | kwargs)


@register_model
def localvmamba_small(pretrained: bool = False, **kwargs: Any) -> LocalVMamba:
    """LocalVMamba-S: 50 M parameters, 83.7 % top-1 on ImageNet-1k (authors)."""
    config = {"directions": _SMALL, "depths": (2, 2, 27, 2), "dims": 96}
    return _create("localvmamba_small", pretrained, config | kwargs)
