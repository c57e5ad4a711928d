"""EfficientViM: states that are sums over all tokens at once, without a scan.

Lee et al., "EfficientViM: Efficient Vision Mamba with Hidden State Mixer based State Space
Duality", CVPR 2025, arXiv:2411.15241. The network is timm's (`timm.models.efficientvim`, MIT), and
so are all registered variants and their weights. This file says what the explainers and the switch
between mixings need to know about it.
"""

from __future__ import annotations

from itertools import chain
from typing import cast

from timm.models.efficientvim import EfficientViM, EfficientViMStage

from mambaout.errors import Sentence
from mambaout.models.mixing import why_no_causal_form
from mambaout.models.token_grid import TokenGrid, stage_titles, token_grid


@why_no_causal_form.register
def _(_model: EfficientViM) -> str | None:
    return Sentence(
        "EfficientViM has no causal form: each of its states is a softmax-weighted sum over all "
        "tokens at once, so there is no scan and no order that could be cut."
    )


@token_grid.register
def _(model: EfficientViM) -> TokenGrid:
    # The mixers' inputs: a stage itself returns a tuple, not one map, and so does a block.
    stages = cast("list[EfficientViMStage]", list(model.stages))
    targets = [
        [f"stages.{i}.blocks.{j}.norm" for j in range(stage.depth)]
        for i, stage in enumerate(stages)
    ]
    # The middle stage has 7 x 7 tokens at 224 pixels, the last 4 x 4.
    return TokenGrid(
        layout="nchw",
        targets=tuple(chain(*targets)),
        titles=stage_titles(targets),
        default_target=targets[-2][-1],
    )
