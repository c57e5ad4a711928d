"""The short convolution in front of a scan."""

from __future__ import annotations

import torch

from mambaout.ops import causal_conv1d, raster_causal_mask


def test_by_hand():
    x = torch.tensor([[[1.0], [10.0], [100.0], [1000.0]]])
    taps = torch.tensor([[[4.0, 3.0, 2.0]]])  # two steps back, one step back, now
    y = causal_conv1d(x, taps, torch.tensor([0.5]), reverse=False)
    assert y.flatten().tolist() == [2.5, 23.5, 234.5, 2340.5]


def test_reverse_is_the_same_walk_from_the_other_end():
    x, taps, bias = torch.randn(2, 9, 4), torch.randn(4, 1, 4), torch.randn(4)
    forward = causal_conv1d(x, taps, bias, reverse=False)
    backward = causal_conv1d(x, taps, bias, reverse=True)
    assert (forward - backward).abs().max() > 0.1
    torch.testing.assert_close(causal_conv1d(x.flip(1), taps, bias, reverse=True).flip(1), forward)


def test_mask_keeps_what_a_raster_has_passed():
    mask = raster_causal_mask(7, 7)
    assert mask.sum() == 25
    assert mask[:3].all()
    assert mask[3].tolist() == [True] * 4 + [False] * 3
    assert not mask[4:].any()
