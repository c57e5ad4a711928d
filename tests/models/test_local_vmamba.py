"""LocalVMamba: the authors' numbers, its windows and gates, the manners of a timm model."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F

from mambaout import with_mixing
from mambaout.models import token_grid
from mambaout.models.channel_gate import ChannelGate
from mambaout.models.local_vmamba import LocalScan, LocalVMamba
from mambaout.models.staged import to_nchw
from mambaout.models.weights import declared_weights
from mambaout.ops import plain_selective_scan
from tests.models.causality import jacobian_by_token, redrawn
from tests.models.citizen import check_features, check_head, check_learning
from tests.models.staged_numbers import check_numbers, named_outputs, recorded

DIRECTIONS = (("h", "v_flip", "w2", "w7"), ("h_flip", "v", "w2_flip", "w3"))


def build(config):
    return LocalVMamba(
        config["directions"],
        num_classes=config["num_classes"],
        depths=config["depths"],
        dims=config["dims"],
    )


def small(**config):
    return LocalVMamba(DIRECTIONS, num_classes=7, depths=(1, 1), dims=(16, 24), d_state=4, **config)


@pytest.mark.parametrize("name", ["localvmamba_mini", "localvmamba_mini_nonsquare"])
def test_gives_the_authors_numbers(name):
    model, meta, tensors = recorded(name, build)
    check_numbers(named_outputs(model, tensors["in.image"]), meta, tensors)


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [("localvmamba_tiny", 25_527_160, 302), ("localvmamba_small", 49_748_536, 644)],
)
def test_sizes_are_the_authors(name, parameters, tensors):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == tensors
    for module in model.modules():
        if isinstance(module, LocalScan):
            assert len(set(module.paths)) == 4


def test_only_the_small_model_has_weights():
    assert timm.list_models("localvmamba*", pretrained=True) == ["localvmamba_small.hunto_in1k"]
    url = declared_weights("localvmamba_small.hunto_in1k").url
    assert url.endswith("hunto/LocalMamba/releases/download/v1.0.0/local_vssm_small.ckpt")


@torch.no_grad()
def test_scan_inputs_are_what_the_mixer_computes_with():
    """The scans of `scan_inputs`, put back in place, gated, summed and normed, are its output."""
    mixer = redrawn(LocalScan(16, ("h", "v_flip", "w2", "w7_flip")))
    tokens = torch.randn(2, 5, 5, 16)
    scans = mixer.scan_inputs(tokens)
    assert [scan.path for scan in scans] == ["h", "v_flip", "w2", "w7_flip"]
    assert [len(scan.order) for scan in scans] == [25, 25, 36, 49]
    total = 0
    for scan in scans:
        y = plain_selective_scan(scan.u, scan.delta, scan.A, scan.B, scan.C, scan.D)
        placed = torch.full((2, 26, 32), torch.nan)
        placed[:, scan.order] = y.mT
        total = total + mixer.multi_scan["attn"](placed[:, :25])
    gate = torch.empty(2, 25, 32)
    gate[:, scans[1].order] = scans[1].z.mT
    got = mixer.out_proj(mixer.out_norm(total) * F.silu(gate)).view(2, 5, 5, 16)
    torch.testing.assert_close(got, mixer(tokens), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_zeros_that_fill_a_window_are_scanned():
    """They write nothing, but the state decays while the scan is among them."""
    mixer = redrawn(LocalScan(16, DIRECTIONS[0], d_state=4))
    scan = mixer.scan_inputs(torch.randn(1, 3, 3, 16))[2]
    zeros = scan.order == 9
    assert zeros.sum() == 7
    assert (scan.u[..., zeros] == 0).all()
    assert (scan.B[..., zeros] == 0).all()
    assert (scan.delta[..., zeros] > 0).all()
    arguments = (scan.u, scan.delta, scan.A, scan.B, scan.C, scan.D)
    filled = plain_selective_scan(*arguments)[..., ~zeros]
    skipped = plain_selective_scan(
        *(t[..., ~zeros] if t.shape[-1] == len(zeros) else t for t in arguments)
    )
    assert (filled - skipped).abs().max() > 1e-3


def test_gate_is_decided_by_the_mean_over_the_tokens():
    gate = redrawn(ChannelGate(16))
    x = torch.randn(3, 2, 5, 16)
    factor = gate(x) / x
    assert factor.std(dim=2).max() < 1e-5
    assert factor.std(dim=3).min() > 1e-3
    assert ((factor > 0) & (factor < 1)).all()
    shuffled = gate(x[:, :, torch.randperm(5)]).sort(2).values
    torch.testing.assert_close(shuffled, gate(x).sort(2).values)


def test_has_no_causal_form_and_says_why():
    """Even with the path by rows alone and a masked convolution the gate would look ahead."""
    with pytest.raises(TypeError, match="the gate of every mixer takes the mean over all tokens"):
        with_mixing(small(), "causal")
    mixer = redrawn(LocalScan(16, ("h", "h", "h", "h")))
    mixer.conv2d.mixing = "causal"
    assert jacobian_by_token(mixer, (1, 3, 4, 16)).triu(1).max() > 1e-3


def test_takes_pictures_of_any_size():
    assert small().eval()(torch.randn(1, 3, 36, 52)).shape == (1, 7)


def test_is_at_home_in_timm():
    image = torch.randn(2, 3, 32, 48)
    small_tiny = {"directions": DIRECTIONS, "depths": (1, 1), "dims": (16, 24), "d_state": 4}
    check_features("localvmamba_tiny", image, to_nchw(), **small_tiny)
    check_head(small(), image)
    check_learning(small(drop_path_rate=0.1), image, "layers.1.blocks.0.norm")
    assert token_grid(small()).default_target == "layers.0.blocks"


@pytest.mark.parametrize(
    ("directions", "message"),
    [
        (DIRECTIONS[:1], r"one entry per block \(=2\), got 1"),
        ((("h", "v", "w2"), DIRECTIONS[1]), "a block has 4 directions"),
        ((("h", "v", "w2", "diagonal"), DIRECTIONS[1]), "a direction is"),
    ],
)
def test_refuses_directions_that_make_no_model(directions, message):
    with pytest.raises(ValueError, match=message):
        LocalVMamba(directions, depths=(1, 1), dims=16)
