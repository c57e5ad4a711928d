"""VMamba: a hierarchy of cross scans, four paths by rows and by columns from either end.

Liu et al., "VMamba: Visual State Space Model", NeurIPS 2024, arXiv:2401.10166. Authors' code and
weights: github.com/MzeroMiko/VMamba at 2ed52ea, MIT. Written from the description of that network;
parameter names are the authors', so that their files load as they are.

There are two generations. The first ("v0", January 2024) has gated mixers with 16 states per
channel and no MLP. The second has one state per channel, an MLP in every block, and convolutions
as stem and between stages; "s2l5" in a name stands for an SSM ratio of 2 and 5 blocks in stage 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import DropPath, Mlp
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from mambaout.catalogue.mixing import Mixing, check_mixing
from mambaout.models.building import MINIATURE_TAGS, build_model, declared_mixing
from mambaout.models.grid_scan import GridScan
from mambaout.models.mixing import set_mixing
from mambaout.models.scan_paths import choosable_paths, set_paths
from mambaout.models.staged import (
    BlockStage,
    PatchMerging,
    StagedModel,
    drop_path_rates,
    patch_stem,
    stage_widths,
    to_nchw,
    to_nhwc,
)
from mambaout.ops.layer_scan import fusible, merged_scan

# In the order of the stacked parameters.
PATHS = ("row", "column", "row reversed", "column reversed")
_PATHS: dict[Mixing, tuple[str, ...]] = {"bidirectional": PATHS, "causal": ("row",)}


class CrossScan(GridScan):
    """VMamba's mixer: the grid is read by rows and by columns, from its first token and its last.

    The sum of the four results is normed, so that a subset of the paths needs no other scale:
    ``paths`` may be set to any subset of `PATHS`. In "causal" mixing the path by rows is alone, and
    the convolution before it keeps the 5 of its 9 taps that do not look ahead in raster order.
    """

    def __init__(
        self,
        dim: int,
        d_state: int = 16,
        ssm_ratio: float = 2.0,
        gate: bool = True,
        mixing: Mixing = "bidirectional",
    ) -> None:
        super().__init__(dim, d_state, ssm_ratio, gate)
        self.set_mixing(mixing)

    def set_mixing(self, mixing: Mixing) -> None:
        self.mixing = self.conv2d.mixing = mixing
        self.paths = _PATHS[mixing]

    @property
    def _rows(self) -> list[int]:
        return [PATHS.index(path) for path in self.paths]

    @property
    def _reverse(self) -> tuple[bool, ...]:
        return tuple(path.endswith("reversed") for path in self.paths)

    @property
    def _by_column(self) -> list[bool]:
        return [path.startswith("column") for path in self.paths]

    def _orders(self, height: int, width: int, device: torch.device) -> list[Tensor]:
        grid = torch.arange(height * width, device=device).view(height, width)
        return [(grid.T if column else grid).reshape(-1) for column in self._by_column]

    def _sequences(self, u: Tensor) -> Tensor:
        rows, columns = u.flatten(1, 2), u.transpose(1, 2).flatten(1, 2)
        return torch.stack([columns if column else rows for column in self._by_column])

    def _merged(self, y: Tensor, height: int, width: int) -> Tensor:
        maps = [
            results.unflatten(1, (width, height)).transpose(1, 2)
            if column
            else results.unflatten(1, (height, width))
            for results, column in zip(y, self._by_column, strict=True)
        ]
        return torch.stack(maps).sum(0)

    def _scanned(self, u: Tensor) -> Tensor:
        if not fusible(u, self.parameters()):
            return super()._scanned(u)
        height, width = u.shape[1:3]
        tokens = u.flatten(1, 2)
        # Projections do not mix tokens: one product in raster order serves all paths.
        weight: Tensor = self.x_proj_weight
        if len(self.paths) < len(PATHS):
            weight = weight[self._rows]
        low = F.linear(tokens, weight.flatten(0, 1)).unflatten(-1, weight.shape[:2])
        merged: Tensor = merged_scan(
            tokens.expand(len(self.paths), -1, -1, -1),
            low.permute(2, 0, 1, 3),
            self._parameters_of_scans(),
            _walks(self.paths, height, width),
        )
        return merged.view(u.shape)

    def extra_repr(self) -> str:
        return f"paths={self.paths}, mixing={self.mixing!r}"


@lru_cache(maxsize=64)
def _walks(paths: tuple[str, ...], height: int, width: int) -> np.ndarray:
    """The raster positions that each path visits, (k, h*w)."""
    grid = np.arange(height * width).reshape(height, width)
    walks = [(grid.T if path.startswith("column") else grid).ravel() for path in paths]
    ends = [-1 if path.endswith("reversed") else 1 for path in paths]
    return np.stack([walk[::end] for walk, end in zip(walks, ends, strict=True)])


class VMambaBlock(nn.Module):
    """``x + mixer(norm(x))``, then ``x + mlp(norm2(x))`` if there is an MLP, on (b, h, w, dim)."""

    def __init__(self, dim: int, mlp_ratio: float, drop_path: float, **mixer: Any) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.op = CrossScan(dim, **mixer)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()
        self.mlp: nn.Module | None = None
        if mlp_ratio > 0:
            self.norm2 = nn.LayerNorm(dim)
            self.mlp = Mlp(dim, int(mlp_ratio * dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.drop_path(self.op(self.norm(x)))
        if self.mlp is not None:
            x = x + self.drop_path(self.mlp(self.norm2(x)))
        return x


def conv_stem(in_chans: int, dim: int) -> nn.Sequential:
    """The second generation's stem: (b, c, H, W) → (b, ⌈H/4⌉, ⌈W/4⌉, dim)."""
    return nn.Sequential(
        nn.Conv2d(in_chans, dim // 2, 3, 2, 1),
        to_nhwc(),
        nn.LayerNorm(dim // 2),
        to_nchw(),
        nn.GELU(),
        nn.Conv2d(dim // 2, dim, 3, 2, 1),
        to_nhwc(),
        nn.LayerNorm(dim),
    )


def conv_downsample(dim: int, out_dim: int) -> nn.Sequential:
    """The second generation's downsampling: (b, h, w, dim) → (b, ⌈h/2⌉, ⌈w/2⌉, out_dim)."""
    return nn.Sequential(
        to_nchw(), nn.Conv2d(dim, out_dim, 3, 2, 1), to_nhwc(), nn.LayerNorm(out_dim)
    )


_STEMS: dict[str, Callable[[int, int], nn.Module]] = {"v1": patch_stem, "v2": conv_stem}
_DOWNSAMPLES: dict[str, Callable[[int, int], nn.Module]] = {
    "v1": PatchMerging,
    "v3": conv_downsample,
}


class VMamba(StagedModel):
    """VMamba, with the interface of timm's models; accepts pictures of any size.

    Args:
        in_chans: channels of a picture.
        num_classes: width of the classifier; 0 for none.
        global_pool: "avg" for the mean over the last map, "" to leave it as it is.
        depths: number of blocks in each stage.
        dims: width of each stage; or of the first, then they double.
        d_state: state size per channel, N.
        ssm_ratio: scan channels per token channel.
        mlp_ratio: hidden channels of the blocks' MLP per token channel; 0 for no MLP.
        gate: whether the mixers are gated, as in the first generation.
        stem: "v1", patches of 4 x 4 pixels; or "v2", two convolutions.
        downsample: "v1", Swin's patch merging; or "v3", a convolution.
        mixing: "bidirectional" as trained, or "causal": the path by rows alone.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth, growing linearly with the depth.
    """

    def __init__(
        self,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str = "avg",
        depths: Sequence[int] = (2, 2, 8, 2),
        dims: int | Sequence[int] = 96,
        d_state: int = 1,
        ssm_ratio: float = 1.0,
        mlp_ratio: float = 4.0,
        gate: bool = False,
        stem: str = "v2",
        downsample: str = "v3",
        mixing: Mixing = "bidirectional",
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        check_mixing(mixing)
        if stem not in _STEMS:
            raise ValueError(f"stem must be one of {tuple(_STEMS)}, got {stem!r}")
        if downsample not in _DOWNSAMPLES:
            raise ValueError(f"downsample must be one of {tuple(_DOWNSAMPLES)}, got {downsample!r}")
        dims = stage_widths(dims, len(depths))
        rates = drop_path_rates(drop_path_rate, depths)
        mixer = {"d_state": d_state, "ssm_ratio": ssm_ratio, "gate": gate, "mixing": mixing}
        stages = [
            BlockStage(
                [VMambaBlock(dim, mlp_ratio, rate, **mixer) for rate in rates[i]],
                _DOWNSAMPLES[downsample](dim, dims[i + 1]) if i + 1 < len(dims) else nn.Identity(),
            )
            for i, dim in enumerate(dims)
        ]
        super().__init__(
            _STEMS[stem](in_chans, dims[0]),
            stages,
            dims,
            in_chans=in_chans,
            num_classes=num_classes,
            global_pool=global_pool,
            drop_rate=drop_rate,
        )


@set_mixing.register
def _(mixer: CrossScan, mixing: Mixing) -> bool:
    mixer.set_mixing(mixing)
    return True


@choosable_paths.register
def _(mixer: CrossScan) -> tuple[str, ...]:
    return _PATHS[mixer.mixing]


@set_paths.register
def _(mixer: CrossScan, paths: tuple[str, ...]) -> None:
    mixer.paths = paths


# What the files of January 2024 call what later files, and the authors' code today, call otherwise.
_LEGACY_NAMES = (
    (r"^patch_embed\.proj\.", "patch_embed.0."),
    (r"^patch_embed\.norm\.", "patch_embed.2."),
    (r"(\.blocks\.\d+)\.ln_1\.", r"\1.norm."),
    (r"(\.blocks\.\d+)\.self_attention\.", r"\1.op."),
    (r"^norm\.", "classifier.norm."),
    (r"^head\.", "classifier.head."),
)


def checkpoint_filter_fn(state_dict: dict[str, Tensor], model: StagedModel) -> dict[str, Tensor]:
    """The authors' tensors for ``model``: old names renewed, 1 x 1 convolutions flattened."""
    expected = model.state_dict()
    renamed = {_todays_name(name): tensor for name, tensor in state_dict.items()}
    convolved = {
        name
        for name, tensor in renamed.items()
        if name in expected and (tensor.ndim, expected[name].ndim) == (4, 2)
    }
    return {name: t.flatten(1) if name in convolved else t for name, t in renamed.items()}


def _todays_name(name: str) -> str:
    for old, new in _LEGACY_NAMES:
        name = re.sub(old, new, name)
    return name


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
        "license": "mit",
        "origin_url": "https://github.com/MzeroMiko/VMamba",
        "paper_ids": "arXiv:2401.10166",
        "paper_name": "VMamba: Visual State Space Model",
        **kwargs,
    }


def _official(release: str, filename: str) -> dict[str, Any]:
    # %23 is the number sign that the releases' names begin with.
    base = "https://github.com/MzeroMiko/VMamba/releases/download/%23"
    return _cfg(url=f"{base}{release}/{filename}")


default_cfgs = generate_default_cfgs(
    {
        "vmamba_tiny_v0.mzeromiko_in1k": _official("v0cls", "vssmtiny_dp01_ckpt_epoch_292.pth"),
        "vmamba_small_v0.mzeromiko_in1k": _official("v0cls", "vssmsmall_dp03_ckpt_epoch_238.pth"),
        "vmamba_base_v0.mzeromiko_in1k": _official("v0cls", "vssmbase_dp06_ckpt_epoch_241.pth"),
        "vmamba_tiny_s2l5.mzeromiko_in1k": _official("v2cls", "vssm_tiny_0230_ckpt_epoch_262.pth"),
        "vmamba_small_s2l15.mzeromiko_in1k": _official(
            "v2cls", "vssm_small_0229_ckpt_epoch_222.pth"
        ),
        "vmamba_base_s2l15.mzeromiko_in1k": _official("v2cls", "vssm_base_0229_ckpt_epoch_237.pth"),
        "vmamba_tiny_s1l8.mzeromiko_in1k": _official(
            "v2cls", "vssm1_tiny_0230s_ckpt_epoch_264.pth"
        ),
        "vmamba_small_s1l20.mzeromiko_in1k": _official(
            "v2cls", "vssm1_small_0229s_ckpt_epoch_240.pth"
        ),
        "vmamba_base_s1l20.mzeromiko_in1k": _official(
            "v2cls", "vssm1_base_0229s_ckpt_epoch_225.pth"
        ),
        **{
            f"vmamba_atto.{tag}": _cfg(
                file=f"vmamba_atto.{tag}.safetensors",
                num_classes=24,
                input_size=(3, 64, 64),
                pool_size=(4, 4),
                crop_pct=1.0,
                license="apache-2.0",
                origin_url="",
            )
            for tag in MINIATURE_TAGS
        },
    }
)

_V0: dict[str, Any] = {
    "d_state": 16,
    "ssm_ratio": 2.0,
    "mlp_ratio": 0.0,
    "gate": True,
    "stem": "v1",
    "downsample": "v1",
}


def _create(variant: str, pretrained: bool, config: dict[str, Any]) -> VMamba:
    out_indices = config.pop("out_indices", tuple(range(len(config["depths"]))))
    build: Callable[..., VMamba] = build_model
    return build(
        VMamba,
        variant,
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg={"out_indices": out_indices, "feature_cls": "getter"},
        **config,
    )


@register_model
def vmamba_tiny_v0(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba-T of January 2024: 23 M parameters, 82.2 % top-1 on ImageNet-1k (authors)."""
    config = {**_V0, "depths": (2, 2, 9, 2), "dims": 96}
    return _create("vmamba_tiny_v0", pretrained, config | kwargs)


@register_model
def vmamba_small_v0(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba-S of January 2024: 44 M parameters, 83.5 % top-1 on ImageNet-1k (authors)."""
    config = {**_V0, "depths": (2, 2, 27, 2), "dims": 96}
    return _create("vmamba_small_v0", pretrained, config | kwargs)


@register_model
def vmamba_base_v0(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba-B of January 2024: 76 M parameters, 83.7 % top-1 on ImageNet-1k (authors)."""
    config = {**_V0, "depths": (2, 2, 27, 2), "dims": 128}
    return _create("vmamba_base_v0", pretrained, config | kwargs)


@register_model
def vmamba_tiny_s2l5(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba-T (s2l5): 31 M parameters, 82.5 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (2, 2, 5, 2), "dims": 96, "ssm_ratio": 2.0}
    return _create("vmamba_tiny_s2l5", pretrained, config | kwargs)


@register_model
def vmamba_small_s2l15(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba-S (s2l15): 50 M parameters, 83.6 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (2, 2, 15, 2), "dims": 96, "ssm_ratio": 2.0}
    return _create("vmamba_small_s2l15", pretrained, config | kwargs)


@register_model
def vmamba_base_s2l15(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba-B (s2l15): 89 M parameters, 83.9 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (2, 2, 15, 2), "dims": 128, "ssm_ratio": 2.0}
    return _create("vmamba_base_s2l15", pretrained, config | kwargs)


@register_model
def vmamba_tiny_s1l8(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba-T (s1l8): 30 M parameters, 82.6 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (2, 2, 8, 2), "dims": 96}
    return _create("vmamba_tiny_s1l8", pretrained, config | kwargs)


@register_model
def vmamba_small_s1l20(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba-S (s1l20): 49 M parameters, 83.3 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (2, 2, 20, 2), "dims": 96}
    return _create("vmamba_small_s1l20", pretrained, config | kwargs)


@register_model
def vmamba_base_s1l20(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba-B (s1l20): 87 M parameters, 83.8 % top-1 on ImageNet-1k (authors)."""
    config = {"depths": (2, 2, 20, 2), "dims": 128}
    return _create("vmamba_base_s1l20", pretrained, config | kwargs)


@register_model
def vmamba_atto(pretrained: bool = False, **kwargs: Any) -> VMamba:
    """VMamba for 64 x 64 pictures, trained on Tiny-ImageNet and bundled with this project."""
    mixing = declared_mixing("vmamba_atto", kwargs)
    config = {"depths": (2, 3, 2), "dims": (48, 96, 144), "mixing": mixing}
    return _create("vmamba_atto", pretrained, config | kwargs)
