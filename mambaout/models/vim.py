"""Vision Mamba (Vim): a plain stack of bidirectional selective scans with its class token mid-way.

Zhu et al., "Vision Mamba: Efficient Visual Representation Learning with Bidirectional State Space
Model", ICML 2024, arXiv:2401.09417. Authors' code and weights: github.com/hustvl/Vim at dd0358a,
Apache-2.0. Written from the description of that network; parameter names are the authors', so that
their files load as they are.

Two things differ from what the names suggest, and pretrained weights expect both: the prediction is
read from the class token alone, though the authors' model names say "final_pool_mean"; and the two
directions are averaged, not added.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

import torch
from timm.layers import DropPath, trunc_normal_
from timm.models import generate_default_cfgs, register_model
from torch import Tensor, nn

from mambaout.catalogue.mixing import Mixing, check_mixing
from mambaout.models.building import MINIATURE_TAGS, build_model, declared_mixing
from mambaout.models.position import (
    Place,
    resize_grid,
    resize_with_class_token,
)
from mambaout.models.token_grid import TokenGrid, block_titles, token_grid
from mambaout.models.token_stack import SequenceStack
from mambaout.models.vim_mixer import VimMixer


class VimBlock(nn.Module):
    """Norm, mixer, residual: ``x + mixer(norm(x))`` on tokens (b, l, dim)."""

    def __init__(self, dim: int, drop_path: float = 0.0, **mixer: Any) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(dim, eps=1e-5)
        self.mixer = VimMixer(dim, **mixer)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.drop_path(self.mixer(self.norm(x)))  # type: ignore[no-any-return]


class PatchEmbed(nn.Module):
    """Patches of ``patch_size`` pixels, one every ``stride``: (b, c, H, W) → (b, d, h, w)."""

    def __init__(self, patch_size: int, stride: int, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.patch_size, self.stride = patch_size, stride
        self.proj = nn.Conv2d(in_chans, embed_dim, patch_size, stride)

    def grid(self, height: int, width: int) -> tuple[int, int]:
        """Patches down and across a picture of ``height`` x ``width`` pixels.

        Raises:
            ValueError: the patches do not cover the picture.
        """
        for size in (height, width):
            if size < self.patch_size or (size - self.patch_size) % self.stride:
                raise ValueError(
                    f"patches of {self.patch_size} pixels, one every {self.stride}, do not cover "
                    f"a picture of {height}x{width} pixels: sizes must be {self.patch_size} + a "
                    f"multiple of {self.stride}"
                )
        down, across = ((s - self.patch_size) // self.stride + 1 for s in (height, width))
        return down, across

    def forward(self, x: Tensor) -> Tensor:
        return self.proj(x)  # type: ignore[no-any-return]


class VisionMamba(SequenceStack):
    """Vim, with the interface of timm's models.

    Args:
        img_size: height and width of the pictures [px], or one number for both.
        patch_size: side of a patch [px].
        stride: distance between patches [px]; None means patches side by side.
        in_chans: channels of a picture.
        num_classes: width of the classifier; 0 for none.
        global_pool: "token" reads the class token, "avg" the mean of the patches; None follows
            ``class_token``.
        embed_dim: width of the tokens, D.
        depth: number of blocks.
        d_state: state size per channel, N.
        expand: scan channels per token channel.
        d_conv: taps of the convolution before each scan.
        class_token: "middle" puts it before patch ``n_patches // 2``, as the authors do; "end"
            after the last patch, where a causal model sees the whole picture; None leaves it out.
        mixing: "bidirectional" as trained, or "causal": the forward scan alone.
        dynamic_img_size: accept pictures of other sizes, with resized position embeddings.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth, growing linearly with the depth.
    """

    norm_name = "norm_f"
    undecayed = ("A_log", "A_b_log", "D", "pos_embed", "cls_token")

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        stride: int | None = None,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str | None = None,
        embed_dim: int = 192,
        depth: int = 24,
        d_state: int = 16,
        expand: int = 2,
        d_conv: int = 4,
        class_token: Place | None = "middle",
        mixing: Mixing = "bidirectional",
        dynamic_img_size: bool = False,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(embed_dim, in_chans, num_classes)
        check_mixing(mixing)
        if class_token not in (*get_args(Place), None):
            raise ValueError(f'class_token must be "middle", "end" or None, got {class_token!r}')
        self.class_token_place = class_token
        self.global_pool = self._checked_pool(global_pool)
        self.dynamic_img_size = dynamic_img_size
        stride = patch_size if stride is None else stride
        self.img_size = (img_size, img_size) if isinstance(img_size, int) else tuple(img_size)

        self.patch_embed = PatchEmbed(patch_size, stride, in_chans, embed_dim)
        self.grid = self.patch_embed.grid(*self.img_size)
        n_patches = math.prod(self.grid)
        if class_token is None:
            self.register_parameter("cls_token", None)
        else:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim))
        n_tokens = n_patches + (class_token is not None)
        self.pos_embed = nn.Parameter(torch.zeros(1, n_tokens, embed_dim))
        rates = [drop_path_rate * i / max(depth - 1, 1) for i in range(depth)]
        self.layers = nn.ModuleList(
            VimBlock(embed_dim, rate, d_state=d_state, d_conv=d_conv, expand=expand, mixing=mixing)
            for rate in rates
        )
        self._add_head(nn.RMSNorm(embed_dim, eps=1e-5), drop_rate, stride)
        self._init_weights()

    def _init_weights(self) -> None:
        trunc_normal_(self.pos_embed, std=0.02)
        if self.cls_token is not None:
            trunc_normal_(self.cls_token, std=0.02)
        for mixer in self.modules():
            if isinstance(mixer, VimMixer):
                # As in GPT-2 and Mamba: the residual stream keeps its variance at any depth.
                with torch.no_grad():
                    mixer.out_proj.weight /= math.sqrt(len(self.layers))

    def _tokens(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """A picture's tokens (b, l, d) with their positions, and the grid (h, w) of its patches."""
        height, width = x.shape[-2:]
        if (height, width) != self.img_size and not self.dynamic_img_size:
            raise ValueError(
                f"expected pictures of {self.img_size[0]}x{self.img_size[1]} pixels, got "
                f"{height}x{width}; build the model with img_size=({height}, {width}) or "
                "dynamic_img_size=True"
            )
        grid = self.patch_embed.grid(height, width)
        return self._placed(self.patch_embed(x).flatten(2).mT, grid), grid

    def resized_position(
        self, position: Tensor, old: tuple[int, int], new: tuple[int, int]
    ) -> Tensor:
        if self.class_token_place is None:
            return resize_grid(position, old, new)
        return resize_with_class_token(position, old, new, place=self.class_token_place)


@token_grid.register
def _(model: VisionMamba) -> TokenGrid:
    # What the mixers read, not what the blocks give: after the last block only the class token
    # reaches the logits, so that the gradient of every patch is zero there.
    targets = tuple(f"layers.{i}.norm" for i in range(len(model.layers)))
    return TokenGrid(
        layout="tokens",
        targets=targets,
        titles=block_titles(len(targets)),
        default_target=targets[-1],
        grid=model.grid,
        class_token_index=model.class_token_index,
    )


def checkpoint_filter_fn(state_dict: dict[str, Tensor], model: VisionMamba) -> dict[str, Tensor]:
    """The authors' tensors for ``model``: position embeddings resized where its grid is another.

    The names are the authors' own. Their fine-tuning code takes row 0 for the class token's when it
    resizes, though it stands in the middle; here its own row is taken out first.
    """
    position = state_dict.get("pos_embed")
    if position is None or position.shape[1] == model.pos_embed.shape[1]:
        return state_dict
    extra = model.cls_token is not None
    side = math.isqrt(position.shape[1] - extra)
    if side * side + extra != position.shape[1] or position.shape[2] != model.embed_dim:
        return state_dict  # not a square grid of this width: the strict loader names the mismatch
    resized = model.resized_position(position, (side, side), model.grid)
    return {**state_dict, "pos_embed": resized}


def _cfg(**kwargs: Any) -> dict[str, Any]:
    return {
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "fixed_input_size": True,
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "patch_embed.proj",
        "classifier": "head",
        "license": "apache-2.0",
        "origin_url": "https://github.com/hustvl/Vim",
        "paper_ids": "arXiv:2401.09417",
        "paper_name": "Vision Mamba: Efficient Visual Representation Learning with "
        "Bidirectional State Space Model",
        **kwargs,
    }


def _official(repository: str, filename: str) -> dict[str, Any]:
    return _cfg(hf_hub_id=f"hustvl/{repository}", hf_hub_filename=filename)


default_cfgs = generate_default_cfgs(
    {
        "vim_tiny_patch16_224.hustvl_in1k": _official(
            "Vim-tiny-midclstok", "vim_t_midclstok_76p1acc.pth"
        ),
        "vim_tiny_patch16_stride8_224.hustvl_in1k": _official(
            "Vim-tiny-midclstok", "vim_t_midclstok_ft_78p3acc.pth"
        ),
        "vim_small_patch16_224.hustvl_in1k": _official(
            "Vim-small-midclstok", "vim_s_midclstok_80p5acc.pth"
        ),
        "vim_small_patch16_stride8_224.hustvl_in1k": _official(
            "Vim-small-midclstok", "vim_s_midclstok_ft_81p6acc.pth"
        ),
        "vim_base_patch16_224.hustvl_in1k": _official(
            "Vim-base-midclstok", "vim_b_midclstok_81p9acc.pth"
        ),
        **{
            f"vim_atto.{tag}": _cfg(
                file=f"vim_atto.{tag}.safetensors",
                num_classes=24,
                input_size=(3, 64, 64),
                crop_pct=1.0,
                origin_url="",
            )
            for tag in MINIATURE_TAGS
        },
    }
)


def _create(variant: str, pretrained: bool, config: dict[str, Any]) -> VisionMamba:
    out_indices = config.pop("out_indices", 3)
    build: Callable[..., VisionMamba] = build_model
    return build(
        VisionMamba,
        variant,
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg={"out_indices": out_indices, "feature_cls": "getter"},
        **config,
    )


@register_model
def vim_tiny_patch16_224(pretrained: bool = False, **kwargs: Any) -> VisionMamba:
    """Vim-Tiny: 14 x 14 patches, 7 M parameters, 76.1 % top-1 on ImageNet-1k (authors)."""
    config = {"embed_dim": 192, "depth": 24}
    return _create("vim_tiny_patch16_224", pretrained, config | kwargs)


@register_model
def vim_small_patch16_224(pretrained: bool = False, **kwargs: Any) -> VisionMamba:
    """Vim-Small: 14 x 14 patches, 26 M parameters, 80.5 % top-1 on ImageNet-1k (authors)."""
    config = {"embed_dim": 384, "depth": 24}
    return _create("vim_small_patch16_224", pretrained, config | kwargs)


@register_model
def vim_base_patch16_224(pretrained: bool = False, **kwargs: Any) -> VisionMamba:
    """Vim-Base: 14 x 14 patches, 98 M parameters, 81.9 % top-1 on ImageNet-1k (authors)."""
    config = {"embed_dim": 768, "depth": 24}
    return _create("vim_base_patch16_224", pretrained, config | kwargs)


@register_model
def vim_tiny_patch16_stride8_224(pretrained: bool = False, **kwargs: Any) -> VisionMamba:
    """Vim-Tiny fine-tuned on 27 x 27 half-overlapping patches, 78.3 % top-1 (authors)."""
    config = {"embed_dim": 192, "depth": 24, "stride": 8}
    return _create("vim_tiny_patch16_stride8_224", pretrained, config | kwargs)


@register_model
def vim_small_patch16_stride8_224(pretrained: bool = False, **kwargs: Any) -> VisionMamba:
    """Vim-Small fine-tuned on 27 x 27 half-overlapping patches, 81.6 % top-1 (authors)."""
    config = {"embed_dim": 384, "depth": 24, "stride": 8}
    return _create("vim_small_patch16_stride8_224", pretrained, config | kwargs)


@register_model
def vim_atto(pretrained: bool = False, **kwargs: Any) -> VisionMamba:
    """Vim for 64 x 64 pictures, trained on Tiny-ImageNet and bundled with this project.

    Where it was trained causally its class token stands at the end: in the middle it would never
    have seen the lower half of a picture.
    """
    config: dict[str, Any] = {
        "img_size": 64,
        "patch_size": 4,
        "embed_dim": 128,
        "depth": 8,
        "d_state": 8,
    }
    if declared_mixing("vim_atto", kwargs) == "causal":
        config |= {"mixing": "causal", "class_token": "end"}
    return _create("vim_atto", pretrained, config | kwargs)
