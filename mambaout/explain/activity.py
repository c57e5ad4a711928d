"""How active every token mixer of a model is at every token, with a scan or without one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import singledispatch
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from timm.layers import Attention
from timm.models.mambaout import GatedConvBlock
from torch import Tensor, nn

from mambaout.errors import ExplanationError, Sentence
from mambaout.explain.base import check_picture, find_tokens
from mambaout.explain.on_tokens import OnTokens
from mambaout.explain.token_mixers import MixerRun, mixer_names, run_several


@dataclass(frozen=True, eq=False)
class MixerActivity(OnTokens):
    """What one token mixer does at every token, in raster order, the class token at its place.

    ``output`` is there for every mixer, the rest where the kind of mixer has it. Each is (l,)
    float32; NaN at no token.
    """

    layer: str  # the mixer's module name
    layer_index: int  # 0 for the first mixer of the model
    kind: str  # what mixes, in words: "gated 7x7 depthwise convolution", "self-attention", …
    order: np.ndarray  # (l,) int64; 0 … l-1: raster order
    grid: tuple[int, int]  # (h, w) of the layer's patches
    class_token_index: int | None  # the position on the token axis that is no patch
    output: np.ndarray  # ‖y_t‖₂ over channels, of what the mixer adds to the stream
    gate: np.ndarray | None = None  # mean over channels of |GELU(g_t)|, or of |SiLU(z_t)| in a scan
    mixed: np.ndarray | None = None  # ‖·‖₂ of the convolution's output, before it is gated
    spread: np.ndarray | None = None  # mean over heads of exp(entropy of the attention of token t)
    caveat: str = ""  # what a reader must know

    units: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "output": "norm of the mixer's output",
            "gate": "factor on what is gated",
            "mixed": "norm of the convolution's output",
            "spread": "tokens attended to",
        }
    )


def mixer_activity(
    model: nn.Module, image: Tensor, *, layers: Collection[str] | None = None
) -> tuple[MixerActivity, ...]:
    """Follow the token mixers of ``model`` through one picture, whatever they mix by.

    For models without a scan this is what `scan_trace` is for the others. Everything is that of
    the mixer alone: learned scales behind it, and the residual path, are left out. ``spread`` is
    the perplexity of a token's attention: the number of tokens, if it attended to all of them
    equally; 1, if to one only. Gates: `GatedConvBlock` of MambaOut (arXiv:2405.07992, eq. 3 to 5)
    has one on its convolution and on the channels beside it; scans have one behind them.

    The model runs once, as a view: ``model`` is left as it was found, and several threads may ask
    at the same time. Self-attention takes memory for its (heads, l, l) weights, a layer at a time.

    Args:
        model: a model of any family.
        image: one normalised picture, (1, c, H, W).
        layers: the mixers to follow, of `mixer_names`; None for all.

    Raises:
        ExplanationError: there is no such layer, or no mixer at all; what a mixer gives is not
            finite.
    """
    check_picture(image)
    find_tokens(model)
    known = mixer_names(model)
    chosen = known if layers is None else [name for name in known if name in layers]
    if not chosen or not set(layers or ()) <= set(known):
        raise ExplanationError(
            f"layers must be some of {', '.join(known) or 'none: nothing mixes tokens here'}, "
            f"got {layers and list(layers)}"
        )
    return tuple(_activity(run, known.index(run.name)) for run in run_several(model, image, chosen))


def _activity(run: MixerRun, index: int) -> MixerActivity:
    with torch.inference_mode(False), torch.no_grad():
        numbers = {"output": run.mix(run.tokens).float().norm(dim=-1), **parts(run.module, run)}
    if not numbers["output"].isfinite().all():
        raise ExplanationError(
            Sentence(
                "{layer} gives values that are infinite or not a number: check the model's weights",
                layer=run.name,
            )
        )
    placed = {name: _by_token(t, run).numpy(force=True) for name, t in numbers.items()}
    return MixerActivity(
        layer=run.name,
        layer_index=index,
        kind=run.form.kind,
        order=np.arange(run.n_tokens),
        grid=run.grid,
        class_token_index=run.class_token_index,
        caveat=run.form.caveat,
        **placed,
    )


def _by_token(values: Tensor, run: MixerRun) -> Tensor:
    """Values of the steps of all sequences, (b, l), as values of the tokens, (n_tokens,)."""
    placed = torch.full((run.n_tokens + 1,), torch.nan)
    placed[run.positions] = values.float().cpu()
    return placed[:-1]  # the last took what is at no token


@singledispatch
def parts(_module: nn.Module, run: MixerRun) -> dict[str, Tensor]:
    """What a kind of mixer has to show beside its output, (b, l) each; kinds register here."""
    sequences, length, _ = run.tokens.shape
    gate = torch.full((sequences, length + 1), torch.nan, device=run.tokens.device)
    for scan in run.scan_inputs():
        # Paths that come by the same token find the same gate there.
        if scan.z is not None:
            gate[:, scan.order] = F.silu(scan.z.float()).abs().mean(1)
    gate = gate[:, :-1]  # the last is at no token
    return {} if gate.isnan().all() else {"gate": gate}


@parts.register
def _(block: GatedConvBlock, run: MixerRun) -> dict[str, Tensor]:
    gate, _, beside = block.fc1(run.laid_out(run.tokens)).split(block.split_indices, dim=-1)
    mixed = block.conv(beside.permute(0, 3, 1, 2))
    return {
        "gate": block.act(gate).float().abs().mean(-1).flatten(1),
        "mixed": mixed.float().norm(dim=1).flatten(1),
    }


@parts.register
def _(attention: Attention, run: MixerRun) -> dict[str, Tensor]:
    met: list[Tensor] = []
    # timm's own form without the fused kernel hands its weights, (b, heads, l, l), to a dropout.
    attention.fused_attn = False  # type: ignore[misc]  # Final for TorchScript alone
    attention.attn_drop.register_forward_pre_hook(lambda _, args: met.append(args[0]))
    run.mix(run.tokens)
    weights = met[0].float()
    return {"spread": torch.special.entr(weights).sum(-1).exp().mean(1)}
