"""EfficientVMamba: the authors' numbers, its four sub-grids, the manners of a timm model."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F

from mambaout import with_mixing
from mambaout.models import token_grid
from mambaout.models.efficient_vmamba import AtrousScan, EfficientVMamba
from mambaout.models.staged import to_nchw
from mambaout.ops import plain_selective_scan
from tests.models.causality import redrawn
from tests.models.citizen import check_features, check_head, check_learning
from tests.models.staged_numbers import check_numbers, named_outputs, recorded

SMALL = {"depths": (1, 1, 2, 1), "dims": 16, "num_classes": 7}


def build(config):
    return EfficientVMamba(
        num_classes=config["num_classes"], depths=config["depths"], dims=config["dims"]
    )


def test_gives_the_authors_numbers():
    model, meta, tensors = recorded("efficientvmamba_mini", build)
    got = named_outputs(model, tensors["in.image"])
    got |= {f"stage.{i}.block.0.out": got[f"stage.{i}.blocks_out"] for i in (2, 3)}
    check_numbers(got, meta, tensors)


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [
        ("efficientvmamba_tiny", 6_493_660, 261),
        ("efficientvmamba_small", 11_273_688, 261),
        ("efficientvmamba_base", 33_717_136, 371),
    ],
)
def test_sizes_are_the_authors(name, parameters, tensors):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == tensors
    size = name.rpartition("_")[2]
    assert model.pretrained_cfg["hf_hub_filename"] == f"efficient_vmamba_{size}.ckpt"


def test_each_path_has_its_own_quarter_of_the_grid():
    scans = AtrousScan(16).scan_inputs(torch.randn(1, 4, 6, 16))
    assert [(scan.path, scan.order.tolist()) for scan in scans] == [
        ("row from (0, 0)", [0, 2, 4, 12, 14, 16]),
        ("column from (1, 0)", [6, 18, 8, 20, 10, 22]),
        ("row from (0, 1)", [1, 3, 5, 13, 15, 17]),
        ("column from (1, 1)", [7, 19, 9, 21, 11, 23]),
    ]


@pytest.mark.parametrize("grid", [(4, 6), (5, 7), (4, 3)])
@torch.no_grad()
def test_scan_inputs_are_what_the_mixer_computes_with(grid):
    """The scans of `scan_inputs`, put back in place, normed and gated, are its output."""
    mixer = redrawn(AtrousScan(16))
    tokens = torch.randn(2, *grid, 16)
    length = grid[0] * grid[1]
    placed, gate = torch.full((2, 2, length + 1, 32), torch.nan)
    steps_of_zeros = 0
    for scan in mixer.scan_inputs(tokens):
        y = plain_selective_scan(scan.u, scan.delta, scan.A, scan.B, scan.C, scan.D)
        placed[:, scan.order], gate[:, scan.order] = y.mT, scan.z.mT
        zeros = scan.order == length
        steps_of_zeros += int(zeros.sum())
        assert (scan.u[..., zeros] == 0).all()
        assert (scan.delta[..., zeros] > 0).all()  # they decay the state
    even = -(-grid[0] // 2) * -(-grid[1] // 2) * 4
    assert steps_of_zeros == even - length
    got = mixer.out_proj(mixer.out_norm(placed[:, :length]) * F.silu(gate[:, :length]))
    torch.testing.assert_close(got.view(2, *grid, 16), mixer(tokens), rtol=1e-4, atol=1e-5)


def test_takes_pictures_of_any_size():
    assert EfficientVMamba(**SMALL).eval()(torch.randn(1, 3, 68, 52)).shape == (1, 7)


def test_has_no_causal_form_and_says_why():
    with pytest.raises(TypeError, match="scans each token once and one way already"):
        with_mixing(EfficientVMamba(**SMALL), "causal")


def test_is_at_home_in_timm():
    image = torch.randn(2, 3, 64, 64)
    check_features("efficientvmamba_tiny", image, to_nchw(), dims=16, depths=(1, 1, 2, 1))
    check_head(EfficientVMamba(**SMALL), image)
    for block in ("layers.0.blocks.0.norm", "layers.2.2.conv_dw"):
        check_learning(EfficientVMamba(drop_path_rate=0.1, **SMALL), image, block)


def test_says_where_its_tokens_are():
    model = EfficientVMamba(**SMALL).eval()
    tokens = token_grid(model)
    assert tokens.targets == ("layers.0.blocks", "layers.1.blocks", "layers.2.3", "layers.3.2")
    assert tokens.default_target == "layers.2.3"
    met = []
    model.get_submodule(tokens.default_target).register_forward_hook(
        lambda _module, _inputs, output: met.append(tokens.to_nchw(output))
    )
    model(torch.randn(1, 3, 64, 96))
    assert met[0].shape == (1, 64, 4, 6)
