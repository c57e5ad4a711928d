"""Position embeddings for another picture size."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Place = Literal["middle", "end"]
"""Of a class token: before patch ``n_patches // 2``, or after the last patch."""


def resize_grid(
    position: Tensor, old: tuple[int, int], new: tuple[int, int], *, antialias: bool = True
) -> Tensor:
    """Position embeddings (1, h·w, d) of an ``old`` grid (h, w) for a ``new`` one, bicubic.

    ``antialias`` smooths them before they shrink. It also takes another cubic kernel, so that the
    numbers of authors who resize without it need it off.
    """
    picture = position.float().mT.unflatten(2, old)
    picture = F.interpolate(
        picture, size=new, mode="bicubic", antialias=antialias, align_corners=False
    )
    return picture.flatten(2).mT.to(position.dtype)


def class_token_index(patches: int, place: Place) -> int:
    """Where a class token stands in a sequence of ``patches`` patches and itself."""
    return patches // 2 if place == "middle" else patches


def resize_with_class_token(
    position: Tensor,
    old: tuple[int, int],
    new: tuple[int, int],
    *,
    antialias: bool = True,
    place: Place = "middle",
) -> Tensor:
    """As `resize_grid` for (1, h·w + 1, d), the class token's row in its place in either grid."""
    index = class_token_index(old[0] * old[1], place)
    row = position[:, index : index + 1]
    patches = torch.cat([position[:, :index], position[:, index + 1 :]], dim=1)
    patches = resize_grid(patches, old, new, antialias=antialias)
    index = class_token_index(new[0] * new[1], place)
    return torch.cat([patches[:, :index], row, patches[:, index:]], dim=1)
