"""LocalVim: Vim with four scans per layer, by rows, by columns or window by window, as searched.

Huang et al., "LocalMamba: Visual State Space Model with Windowed Selective Scan", ECCV 2024
Workshops, arXiv:2403.09338. Authors' code and weights: github.com/hunto/LocalMamba at 75e5d1f,
Apache-2.0. Written from the description of that network; parameter names are the authors', so that
their files load as they are.

Two things that pretrained weights expect: without a class token the residual stream itself is
rotated before every layer, twenty times over; and the four directions are added, not averaged. The
directions of a layer show in no shape, so that weights load into a model with the wrong ones.
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
from mambaout.models.local_vim_mixer import LocalVimMixer
from mambaout.models.mixing import why_no_causal_form
from mambaout.models.position import Place, resize_grid, resize_with_class_token
from mambaout.models.rotary import RotaryPosition
from mambaout.models.scan_paths import why_paths_are_fixed
from mambaout.models.staged import drop_path_rates
from mambaout.models.token_grid import TokenGrid, block_titles, token_grid
from mambaout.models.token_stack import SequenceStack

_SEARCHED = tuple(
    tuple(directions.split())
    for directions in (
        "h v_flip w7 w7_flip",
        "h_flip w2_flip w7 w7_flip",
        "h h_flip v w7",
        "h h_flip v v_flip",
        "h h_flip v v_flip",
        "h h_flip v v_flip",
        "h_flip v v_flip w7",
        "h_flip v v_flip w2_flip",
        "h h_flip v v_flip",
        "h h_flip v v_flip",
        "h v v_flip w2",
        "h v v_flip w2_flip",
        "h h_flip v_flip w7",
        "h_flip v v_flip w2",
        "h h_flip v v_flip",
        "h v w2 w2_flip",
        "v v_flip w2 w7",
        "h h_flip v w2",
        "h h_flip w2_flip w7",
        "v v_flip w2 w2_flip",
    )
)
# The authors register LocalVim-S twice. The second list, without a search, is the one in effect.
_NOT_SEARCHED = (("h", "h_flip", "w2", "w2_flip"),) * 20


class LocalVimBlock(nn.Module):
    """Norm, mixer, residual: ``x + mixer(norm(x))`` on tokens (b, l, dim)."""

    def __init__(self, dim: int, drop_path: float, **mixer: Any) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(dim, eps=1e-5)
        self.mixer = LocalVimMixer(dim, **mixer)
        self.drop_path = DropPath(drop_path) if drop_path > 0 else nn.Identity()

    def forward(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        return x + self.drop_path(self.mixer(self.norm(x), grid))  # type: ignore[no-any-return]


class PatchEmbed(nn.Module):
    """Patches side by side: (b, c, H, W) → (b, embed_dim, h, w), zeros where they overhang."""

    def __init__(self, patch_size: int, in_chans: int, embed_dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(in_chans, embed_dim, patch_size, patch_size)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        x = F.pad(x, (0, -width % self.patch_size, 0, -height % self.patch_size))
        return self.proj(x)  # type: ignore[no-any-return]


class LocalVim(SequenceStack):
    """LocalVim, with the interface of timm's models. Pictures may have any size.

    Args:
        img_size: height and width that the position embeddings are made for [px], or one number.
        patch_size: side of a patch [px].
        in_chans: channels of a picture.
        num_classes: width of the classifier; 0 for none.
        global_pool: "token" reads the class token, "avg" the mean of the patches, "" pools nothing;
            None follows ``class_token``.
        embed_dim: width of the tokens, D.
        directions: for each block, the directions of its scans, as `scan_order` names them.
        d_state: state size per channel, N.
        expand: scan channels per token channel.
        d_conv: taps of the convolution before each scan.
        class_token: "middle" puts it before patch ``n_patches // 2``, None leaves it out and turns
            the tokens by their place instead.
        drop_rate: dropout before the classifier.
        drop_path_rate: stochastic depth, growing linearly with the depth.
    """

    norm_name = "norm_f"
    undecayed = ("A_log_", "D_", "pos_embed", "cls_token")

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 16,
        in_chans: int = 3,
        num_classes: int = 1000,
        global_pool: str | None = None,
        embed_dim: int = 192,
        directions: Sequence[Sequence[str]] = _SEARCHED,
        d_state: int = 16,
        expand: int = 2,
        d_conv: int = 4,
        class_token: Place | None = None,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__(embed_dim, in_chans, num_classes)
        if class_token not in {"middle", None}:
            raise ValueError(f'class_token must be "middle" or None, got {class_token!r}')
        has_class_token = class_token is not None
        depth = len(directions)
        self.class_token_place = class_token
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.grid = (math.ceil(height / patch_size), math.ceil(width / patch_size))
        n_patches = math.prod(self.grid)

        self.patch_embed = PatchEmbed(patch_size, in_chans, embed_dim)
        self.register_parameter(
            "cls_token", nn.Parameter(torch.empty(1, 1, embed_dim)) if has_class_token else None
        )
        self.pos_embed = nn.Parameter(torch.empty(1, n_patches + has_class_token, embed_dim))
        self.rope = None if has_class_token else RotaryPosition(self.grid, embed_dim)
        self.global_pool = self._checked_pool(global_pool)
        (rates,) = drop_path_rates(drop_path_rate, [depth])
        self.layers = nn.ModuleList(
            LocalVimBlock(
                embed_dim,
                rates[i],
                directions=directions[i],
                grid=self.grid,
                has_class_token=has_class_token,
                d_state=d_state,
                d_conv=d_conv,
                expand=expand,
            )
            for i in range(depth)
        )
        self._add_head(nn.RMSNorm(embed_dim, eps=1e-5), drop_rate, patch_size)
        self._init_weights()

    def _init_weights(self) -> None:
        for table in (self.pos_embed, self.cls_token):
            if table is not None:
                trunc_normal_(table, std=0.02)
        with torch.no_grad():
            for name, parameter in self.named_parameters():
                if name.endswith("out_proj.weight"):
                    # As in GPT-2 and Mamba: the residual stream keeps its variance at any depth.
                    parameter.div_(math.sqrt(len(self.layers)))

    def _tokens(self, x: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """A picture's tokens (b, l, d) with their positions, and the grid (h, w) of its patches."""
        patches = self.patch_embed(x)
        grid = (patches.shape[2], patches.shape[3])
        return self._placed(patches.flatten(2).mT, grid), grid

    def resized_position(
        self, position: Tensor, old: tuple[int, int], new: tuple[int, int]
    ) -> Tensor:
        resize = resize_grid if self.cls_token is None else resize_with_class_token
        return resize(position, old, new, antialias=False)

    def _block_arguments(self, x: Tensor, grid: tuple[int, int]) -> tuple[Tensor, tuple[int, int]]:
        return (x if self.rope is None else self.rope(x, grid)), grid


@why_no_causal_form.register
def _(_model: LocalVim) -> str | None:
    return Sentence(
        "LocalVim has no causal form: the gate after each scan reads the mean of all tokens, and "
        "some layers have no scan by rows from the first token that could be kept."
    )


@why_paths_are_fixed.register
def _(_model: LocalVim) -> str:
    return Sentence(
        "LocalVim's paths are fixed: which directions are scanned differs from layer to layer, and "
        "a gate over channels weighs their sum, which was trained with all of them."
    )


@token_grid.register
def _(model: LocalVim) -> TokenGrid:
    # The mixers' inputs: after the last block a class token alone would reach the logits.
    targets = tuple(f"layers.{i}.norm" for i in range(len(model.layers)))
    return TokenGrid(
        layout="tokens",
        targets=targets,
        titles=block_titles(len(targets)),
        default_target=targets[-1],
        grid=model.grid,
        class_token_index=model.class_token_index,
    )


def checkpoint_filter_fn(state_dict: dict[str, Tensor], model: LocalVim) -> dict[str, Tensor]:
    """The authors' tensors for ``model``: positions resized where its grid is another."""
    position = state_dict.get("pos_embed")
    if position is None or position.shape == model.pos_embed.shape:
        return state_dict
    extra = model.cls_token is not None
    side = math.isqrt(position.shape[1] - extra)
    if side * side + extra != position.shape[1] or position.shape[2] != model.embed_dim:
        return state_dict  # not a square grid of this width: the strict loader names the mismatch
    old = (side, side)
    resize = resize_with_class_token if extra else resize_grid
    resized = {"pos_embed": resize(position, old, model.grid, antialias=False)}
    for name in ("rope.freqs_cos", "rope.freqs_sin"):
        if name in state_dict:
            table = state_dict[name][None]
            resized[name] = resize_grid(table, old, model.grid, antialias=False)[0]
    return {**state_dict, **resized}


def _cfg(**kwargs: Any) -> dict[str, Any]:
    return {
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "crop_pct": 0.875,
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": "patch_embed.proj",
        "classifier": "head",
        "license": "apache-2.0",
        "origin_url": "https://github.com/hunto/LocalMamba",
        "paper_ids": "arXiv:2403.09338",
        "paper_name": "LocalMamba: Visual State Space Model with Windowed Selective Scan",
        **kwargs,
    }


_RELEASE = "https://github.com/hunto/LocalMamba/releases/download/v1.0.0"

default_cfgs = generate_default_cfgs(
    {
        "localvim_tiny.hunto_in1k": _cfg(url=f"{_RELEASE}/local_vim_tiny.ckpt"),
        "localvim_tiny_midcls.hunto_in1k": _cfg(
            url=f"{_RELEASE}/local_vim_tiny_middle_cls_token.ckpt"
        ),
        # The authors' link for LocalVim-S leads to another network's file.
        "localvim_small.untrained": _cfg(),
    }
)


def _create(variant: str, pretrained: bool, config: dict[str, Any]) -> LocalVim:
    out_indices = config.pop("out_indices", 3)
    build: Callable[..., LocalVim] = build_model
    return build(
        LocalVim,
        variant,
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg={"out_indices": out_indices, "feature_cls": "getter"},
        **config,
    )


@register_model
def localvim_tiny(pretrained: bool = False, **kwargs: Any) -> LocalVim:
    """LocalVim-T: 8 M parameters, 76.2 % top-1 on ImageNet-1k (authors)."""
    return _create("localvim_tiny", pretrained, kwargs)


@register_model
def localvim_tiny_midcls(pretrained: bool = False, **kwargs: Any) -> LocalVim:
    """LocalVim-T with a class token mid-way: 8 M parameters, 77.8 % top-1 (authors)."""
    config = {"class_token": "middle"}
    return _create("localvim_tiny_midcls", pretrained, config | kwargs)


@register_model
def localvim_small(pretrained: bool = False, **kwargs: Any) -> LocalVim:
    """LocalVim-S: 28 M parameters, 81.1 % top-1 on ImageNet-1k (authors); no weights published."""
    config: dict[str, Any] = {"embed_dim": 384, "directions": _NOT_SEARCHED}
    return _create("localvim_small", pretrained, config | kwargs)
