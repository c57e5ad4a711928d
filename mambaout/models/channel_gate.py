"""The channel gate of LocalMamba and EfficientVMamba."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ChannelGate(nn.Module):
    """Each channel times a number in (0, 1) that the mean over all tokens decides.

    ``x * sigmoid(W2 GELU(W1 mean(LayerNorm(x))))``; "BiAttn" in the authors' code. The mean sees
    every token, which is why families with this gate have no causal form.

    Args:
        dim: number of channels, c.
        reduction: the gate is decided in ``int(dim * reduction)`` channels.
    """

    def __init__(self, dim: int, reduction: float = 1 / 8) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.global_reduce = nn.Linear(dim, int(dim * reduction))
        self.channel_select = nn.Linear(int(dim * reduction), dim)

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (…, l, c) → (…, l, c); whatever stands before l is gated apart."""
        pooled = self.norm(x).mean(-2, keepdim=True)
        gate = self.channel_select(F.gelu(self.global_reduce(pooled))).sigmoid()
        return x * gate  # type: ignore[no-any-return]
