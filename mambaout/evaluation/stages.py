"""How many tokens a model makes of a picture, and how wide they are, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from mambaout.evaluation.sequence import tokens


@dataclass(frozen=True)
class Stage:
    """Blocks that see the picture on the same grid.

    Attributes:
        channels: of a token, the paper's D.
        stride: from one token to the next [px].
        patch: what a token is cut from [px]; ``stride``, unless patches overlap.
    """

    channels: int
    stride: int
    patch: int

    def tokens(self, height: int, width: int) -> int:
        """Of a picture of this size [px]; a class token is left out."""
        return tokens(height, width, self.patch, self.stride)


@cache
def stages(name: str) -> tuple[Stage, ...]:
    """The stages of a registered model, one for a model whose blocks are all alike.

    Read from timm's ``feature_info``. The model is built without weights.

    Args:
        name: as for `timm.create_model`.
    """
    import timm
    import torch
    from torch import nn

    with torch.device("meta"):
        model: Any = timm.create_model(name)
    info = model.feature_info
    seen = dict.fromkeys((int(part["num_chs"]), int(part["reduction"])) for part in info)
    embedding = getattr(getattr(model, "patch_embed", None), "proj", None)
    patch = None
    if len(seen) == 1 and isinstance(embedding, nn.Conv2d):
        patch = int(embedding.kernel_size[0])
    return tuple(Stage(channels, stride, patch or stride) for channels, stride in seen)
