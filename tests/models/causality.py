"""Which input token reaches which output token, exactly."""

from __future__ import annotations

import torch


def redrawn(model):
    """Weights drawn anew: as initialised, LayerScale and zero biases hide what a mixer does."""
    rng = torch.Generator().manual_seed(1)
    for name, p in model.named_parameters():
        if "A_log" not in name:
            p.data = torch.randn(p.shape, generator=rng) * (0.3 if p.ndim > 1 else 0.5)
    return model.eval().requires_grad_(False)


def jacobian_by_token(mixer, shape):
    """|∂ output token / ∂ input token| with random weights on the output's channels, (l, l).

    Random, because the sum over the channels of a normed vector is constant.
    """
    tokens = torch.randn(shape)
    channels = shape[-1]
    weight = torch.randn(channels)
    jacobian = torch.autograd.functional.jacobian(lambda t: (mixer(t) * weight).sum(-1), tokens)
    length = tokens.numel() // channels
    return jacobian.abs().reshape(length, length, channels).sum(-1)
