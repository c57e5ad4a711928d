"""Costs against published numbers, counting by hand, and a forward pass that is really run."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models.mambaout import MambaOut
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mambaout import with_mixing
from mambaout.evaluation import cost
from mambaout.models.vim import VisionMamba


# MACs as timm's results table has them (with norms and pooling, which are a per cent here), and
# parameters as timm's model cards have them.
@pytest.mark.parametrize(
    ("name", "params_m", "macs_g"),
    [
        ("mambaout_femto", 7.30, 1.16),
        ("mambaout_tiny", 26.55, 4.49),
        ("deit_tiny_patch16_224", 5.72, 1.26),
    ],
)
def test_published_numbers_without_a_scan(name, params_m, macs_g):
    got = cost(timm.create_model(name), (3, 224, 224))
    assert got.params / 1e6 == pytest.approx(params_m, abs=0.005)
    assert got.macs / 1e9 == pytest.approx(macs_g, rel=0.012)
    assert got.scan_macs == 0


def test_published_numbers_of_vim_tiny():
    """The MambaOut paper prints 7 M parameters and 1.5 G MACs (arXiv:2405.07992, table 1)."""
    got = cost(timm.create_model("vim_tiny_patch16_224"), (3, 224, 224))
    assert got.params == 7_148_008
    assert got.macs / 1e9 == pytest.approx(1.5, abs=0.06)
    assert got.scan_macs == 24 * 2 * 9 * 197 * 384 * 16 // 2  # layers, paths, 9·l·d·n / 2
    assert got.how == (
        "multiply-adds of linear layers, convolutions and matrix products, and 4.5·l·d·n for each "
        "selective scan, for one picture of 3x224x224"
    )


def test_layers_counted_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.Conv2d(8, 8, 7, padding=3, groups=8),
        nn.Flatten(2),
        nn.Linear(16, 5),
    )
    got = cost(model, (3, 8, 8))
    assert got.macs == 16 * 8 * 3 * 9 + 16 * 8 * 49 + 8 * 16 * 5
    assert got.params == (8 * 27 + 8) + (8 * 49 + 8) + (16 * 5 + 5)
    assert "scan" not in got.how


@pytest.mark.parametrize("mixing", ["bidirectional", "causal"])
def test_the_rest_is_what_a_real_pass_shows(mixing):
    """On a CPU the scans run in kernels that the counter cannot see: it counts all but them."""
    model = VisionMamba((64, 96), embed_dim=32, depth=2, d_state=4, num_classes=5).eval()
    model = with_mixing(model, mixing)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.randn(1, 3, 64, 96))
    got = cost(model, (3, 64, 96))
    assert got.macs - got.scan_macs == counter.get_total_flops() // 2
    paths = {"bidirectional": 2, "causal": 1}[mixing]
    assert got.scan_macs == 2 * paths * 9 * 25 * 64 * 4 // 2


def test_a_larger_picture_costs_as_much_more_as_it_has_more_tokens():
    model = MambaOut(depths=(1,), dims=(16,), num_classes=0)
    small, large = (cost(model, (3, side, 2 * side)).macs for side in (32, 64))
    assert large == pytest.approx(4 * small, rel=0.01)


def test_the_model_is_left_as_it_was_found():
    model = VisionMamba((64, 96), embed_dim=32, depth=2, d_state=4).train().half()
    before = [(p, p.data_ptr(), p.requires_grad) for p in model.parameters()]
    assert cost(model, (3, 64, 96)) == cost(model.float(), (3, 64, 96))
    model.half()
    after = [(p, p.requires_grad) for p in model.parameters()]
    assert all(p is q and r == s for (p, _, r), (q, s) in zip(before, after, strict=True))
    assert model.training
    assert not any(m._forward_pre_hooks for m in model.modules())
    assert {p.device.type for p in model.parameters()} == {"cpu"}
