"""A depthwise convolution over a grid of tokens that may be told not to look ahead."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from mambaout.catalogue.mixing import Mixing
from mambaout.ops import raster_causal_mask


class MixingConv2d(nn.Conv2d):
    """A depthwise convolution over a grid of tokens, (b, c, h, w), in either mixing."""

    def __init__(self, *args: Any, mixing: Mixing = "bidirectional", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.mixing = mixing

    @classmethod
    def sharing(cls, conv: nn.Conv2d, mixing: Mixing) -> MixingConv2d:
        """The same convolution on the same parameters, in another mixing."""
        twin = cls(
            conv.in_channels,
            conv.out_channels,
            conv.kernel_size,
            stride=conv.stride,
            padding=conv.padding,
            groups=conv.groups,
            bias=conv.bias is not None,
            device="meta",
            mixing=mixing,
        )
        twin.weight, twin.bias = conv.weight, conv.bias
        return twin.train(conv.training)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight
        if self.mixing == "causal":
            height, width = self.kernel_size
            weight = weight * raster_causal_mask(height, width).to(weight)
        return F.conv2d(
            x, weight, self.bias, stride=self.stride, padding=self.padding, groups=self.groups
        )

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, mixing={self.mixing!r}"  # type: ignore[no-untyped-call]
