"""Position embeddings for another picture size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


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


def resize_with_class_token(
    position: Tensor, old: tuple[int, int], new: tuple[int, int], *, antialias: bool = True
) -> Tensor:
    """As `resize_grid` for (1, h·w + 1, d), the class token's row in the middle of either grid."""
    middle = old[0] * old[1] // 2
    row = position[:, middle : middle + 1]
    patches = torch.cat([position[:, :middle], position[:, middle + 1 :]], dim=1)
    patches = resize_grid(patches, old, new, antialias=antialias)
    middle = new[0] * new[1] // 2
    return torch.cat([patches[:, :middle], row, patches[:, middle:]], dim=1)
