"""Depthwise convolutions that may look only one way along a scan."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def causal_conv1d(x: Tensor, weight: Tensor, bias: Tensor | None, *, reverse: bool) -> Tensor:
    """Mamba's short convolution over the tokens, each channel for itself.

    Args:
        x: tokens, (b, l, d).
        weight: taps, (d, 1, k); the last meets the current token, the first the one k-1 steps back.
        bias: (d,).
        reverse: the scan starts at the last token, so "back" means towards larger indices.

    Returns:
        (b, l, d), before the activation.
    """
    reach = weight.shape[-1] - 1
    x = F.pad(x.mT, (0, reach) if reverse else (reach, 0))
    return F.conv1d(x, weight.flip(-1) if reverse else weight, bias, groups=x.shape[1]).mT


def raster_causal_mask(height: int, width: int) -> Tensor:
    """Taps of a kernel up to its centre in raster order: mask B of van den Oord et al. 2016.

    >>> raster_causal_mask(3, 3).int().tolist()
    [[1, 1, 1], [1, 1, 0], [0, 0, 0]]
    """
    return (torch.arange(height * width) <= height * width // 2).view(height, width)
