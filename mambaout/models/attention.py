"""Self-attention that may look only back, and a miniature ViT.

Dosovitskiy et al., "An Image is Worth 16x16 Words", ICLR 2021, arXiv:2010.11929; Touvron et al.,
"Training data-efficient image transformers", ICML 2021, arXiv:2012.12877. The networks are timm's
(`timm.models.vision_transformer` and `timm.models.deit`, Apache-2.0), and so are all registered
variants and their weights. This file adds the causal form of their token mixer, which the MambaOut
paper (arXiv:2405.07992, figure 3) asks about, and a miniature.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from timm.layers import Attention
from timm.models import generate_default_cfgs, register_model
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor, nn

from mambaout.catalogue.mixing import Mixing, check_mixing
from mambaout.errors import Sentence
from mambaout.models.building import MINIATURE_TAGS, build_model, declared_mixing
from mambaout.models.mixing import set_mixing, why_no_causal_form, with_mixing
from mambaout.models.token_grid import TokenGrid, block_titles, token_grid


def causal_attention_mask(
    tokens: int, prefix_tokens: int, device: torch.device | None = None
) -> Tensor:
    """Which token (row) may attend to which (column): patches to those before them and themselves.

    A class token sees all tokens and is seen by none but its like. The usual triangle would not do:
    a class token that stands first would see only itself, and the prediction would be the same for
    every picture; and patches that saw it would see the whole picture through it.

    >>> causal_attention_mask(4, prefix_tokens=1).int().tolist()
    [[1, 1, 1, 1], [0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    """
    mask = torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()
    mask[:prefix_tokens] = True
    mask[prefix_tokens:, :prefix_tokens] = False
    return mask


class MixingAttention(Attention):
    """timm's self-attention over tokens, (b, l, c), in either mixing.

    Args:
        *args: as timm's `Attention` takes them.
        prefix_tokens: tokens before the patches: class, register and distillation tokens.
        mixing: "causal" lets each patch attend to the patches before it; `causal_attention_mask`.
        **kwargs: as timm's `Attention` takes them.
    """

    def __init__(
        self,
        *args: Any,
        prefix_tokens: int = 0,
        mixing: Mixing = "bidirectional",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.prefix_tokens = prefix_tokens
        self.mixing: Mixing = mixing

    @classmethod
    def sharing(cls, attention: Attention, prefix_tokens: int, mixing: Mixing) -> MixingAttention:
        """The same attention on the same projections, in another mixing."""
        twin = cls(
            attention.qkv.in_features,
            num_heads=attention.num_heads,
            attn_head_dim=attention.head_dim,
            prefix_tokens=prefix_tokens,
            mixing=mixing,
            device="meta",
        )
        for name, layer in attention.named_children():
            setattr(twin, name, layer)
        for name in ("scale", "fused_attn"):
            setattr(twin, name, getattr(attention, name))
        return twin.train(attention.training)

    def forward(
        self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
    ) -> Tensor:
        """Tokens (b, l, c) → (b, l, c); a mask of the caller's only in bidirectional mixing.

        Raises:
            ValueError: a mask for a causal attention, which has its own.
        """
        if self.mixing == "causal":
            if attn_mask is not None or is_causal:
                raise ValueError(
                    "this attention is causal already: give a mask of your own to the "
                    "bidirectional view of the model"
                )
            attn_mask = causal_attention_mask(x.shape[1], self.prefix_tokens, x.device)
        return super().forward(x, attn_mask=attn_mask, is_causal=is_causal)

    def extra_repr(self) -> str:
        return f"mixing={self.mixing!r}"


@set_mixing.register
def _(attention: MixingAttention, mixing: Mixing) -> bool:
    attention.mixing = mixing
    return True


@set_mixing.register
def _(model: VisionTransformer, mixing: Mixing) -> bool:
    # Here and not at timm's Attention, which does not know how many tokens are no patches.
    for block in model.blocks:
        attention = cast("Attention", block.attn)
        block.attn = MixingAttention.sharing(attention, model.num_prefix_tokens, mixing)
    return True


@why_no_causal_form.register
def _(model: VisionTransformer) -> str | None:
    for block in model.blocks:
        mixer = getattr(block, "attn", None)
        if type(mixer) not in {Attention, MixingAttention}:
            kind = type(block if mixer is None else mixer).__name__
            return Sentence(
                "This ViT mixes its tokens through {kind}, which has no causal form here.",
                kind=kind,
            )
    return None


@token_grid.register
def _(model: VisionTransformer) -> TokenGrid:
    if model.num_prefix_tokens > 1:
        raise TypeError(
            Sentence(
                "expected a ViT with at most a class token before its patches, got {count} such "
                "tokens",
                count=model.num_prefix_tokens,
            )
        )
    # The attentions' inputs: after the last block only the class token reaches the logits, so that
    # every patch's gradient there is zero.
    targets = tuple(f"blocks.{i}.norm1" for i in range(len(model.blocks)))
    return TokenGrid(
        layout="tokens",
        targets=targets,
        titles=block_titles(len(targets)),
        default_target=targets[-1],
        grid=model.patch_embed.grid_size,
        class_token_index=0 if model.num_prefix_tokens else None,
    )


default_cfgs = generate_default_cfgs(
    {
        f"vit_atto.{tag}": {
            "file": f"vit_atto.{tag}.safetensors",
            "num_classes": 24,
            "input_size": (3, 64, 64),
            "fixed_input_size": True,
            "crop_pct": 1.0,
            "interpolation": "bicubic",
            "mean": (0.485, 0.456, 0.406),
            "std": (0.229, 0.224, 0.225),
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": "apache-2.0",
            "paper_ids": "arXiv:2012.12877",
            "paper_name": "Training data-efficient image transformers & distillation through "
            "attention",
        }
        for tag in MINIATURE_TAGS
    }
)


@register_model
def vit_atto(pretrained: bool = False, mixing: Mixing | None = None, **kwargs: Any) -> nn.Module:
    """A ViT for 64 x 64 pictures with as many tokens and parameters as `vim_atto`."""
    mixing = mixing or declared_mixing("vit_atto", kwargs)
    check_mixing(mixing)
    config: dict[str, Any] = {
        "img_size": 64,
        "patch_size": 4,
        "embed_dim": 96,
        "depth": 9,
        "num_heads": 3,
    }
    model = build_model(
        VisionTransformer,
        "vit_atto",
        pretrained,
        pretrained_filter_fn=checkpoint_filter_fn,
        feature_cfg={"out_indices": 3, "feature_cls": "getter"},
        **config | kwargs,
    )
    return model if mixing == "bidirectional" else with_mixing(model, mixing)
