"""A choice of scan paths: exact by Jacobian, scaled as said, and harmless to the model."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from mambaout import with_mixing, with_paths
from mambaout.models import scan_paths, why_paths_are_fixed
from mambaout.models.vim import VisionMamba
from mambaout.models.vmamba import PATHS, VMamba
from tests.contract.families import networks, small
from tests.models.causality import jacobian_by_token, redrawn

GRID = (4, 5)  # not square: a transposed grid would show
TOKENS = {"vim": (1, 21, 32), "vmamba": (1, *GRID, 16)}


def vim():
    return redrawn(VisionMamba((64, 80), embed_dim=32, depth=2, d_state=4, num_classes=7))


def vmamba():
    return redrawn(VMamba(num_classes=7, depths=(1, 1), dims=(16, 24), d_state=4))


def mixer(model):
    return model.layers[0].mixer if hasattr(model, "norm_f") else model.layers[0].blocks[0].op


def test_a_vim_that_scans_backward_reads_nothing_that_came_before():
    both = jacobian_by_token(mixer(vim()), TOKENS["vim"])
    assert both.tril(-1).max() > 1e-3
    backward = jacobian_by_token(mixer(with_paths(vim(), ["backward"])), TOKENS["vim"])
    assert backward.triu(1)[:-1].sum(1).min() > 1e-3
    assert backward.tril(-1).max() == 0


@torch.no_grad()
def test_vim_takes_the_mean_over_the_paths_that_are_left():
    """The gate and the projection after it are linear in what they are given."""
    model, tokens = vim(), torch.randn(TOKENS["vim"])
    alone = [mixer(with_paths(model, [path]))(tokens) for path in ("forward", "backward")]
    assert (alone[0] - alone[1]).abs().max() > 0.1
    torch.testing.assert_close(sum(alone) / 2, mixer(model)(tokens), rtol=1e-4, atol=1e-5)
    assert torch.equal(alone[0], mixer(with_mixing(model, "causal"))(tokens))


def neighbours_hidden(model):
    """The convolutions before the scans reduced to their centre, so that scans alone mix."""
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                kept = module.weight[..., 1, 1].clone()
                module.weight.zero_()
                module.weight[..., 1, 1] = kept
    return model


@pytest.mark.parametrize("path", PATHS)
def test_a_vmamba_path_reads_what_it_came_by(path):
    model = neighbours_hidden(vmamba())
    seen = jacobian_by_token(mixer(with_paths(model, (path,))), TOKENS["vmamba"]) > 0
    y, x = torch.arange(20) // 5, torch.arange(20) % 5
    step = x * 4 + y if path.startswith("column") else y * 5 + x
    step = -step if path.endswith("reversed") else step
    assert torch.equal(seen, step[:, None] >= step)
    assert (jacobian_by_token(mixer(model), TOKENS["vmamba"]) > 0).all()


def test_the_convolution_looks_ahead_unless_the_mixing_is_causal():
    """Hence ("row",) is less than causal: one neighbour to the right and three below are seen."""
    by_row = with_paths(vmamba(), ("row",))
    assert jacobian_by_token(mixer(by_row), TOKENS["vmamba"]).triu(1).max() > 1e-3
    causal = with_paths(with_mixing(vmamba(), "causal"), ("row",))
    assert jacobian_by_token(mixer(causal), TOKENS["vmamba"]).triu(1).max() == 0


@torch.no_grad()
@pytest.mark.parametrize("build", [vim, vmamba])
def test_all_paths_in_any_order_are_the_model_itself(build):
    model = build()
    image = torch.randn(1, 3, 64, 80)
    before = model(image)
    fewer = with_paths(model, scan_paths(model)[1:])
    assert (fewer(image) - before).abs().max() > 1e-3
    assert torch.equal(with_paths(fewer, scan_paths(model)[::-1])(image), before)
    assert torch.equal(with_mixing(fewer, "bidirectional")(image), before)
    assert torch.equal(model(image), before)
    assert f"paths={scan_paths(model)[1:]}" in repr(fewer)
    ours = [p.data_ptr() for p in model.parameters()]
    assert [p.data_ptr() for p in fewer.parameters()] == ours


def test_what_may_be_chosen():
    assert scan_paths(vim()) == ("forward", "backward")
    assert scan_paths(with_mixing(vim(), "causal")) == ("forward",)
    assert scan_paths(vmamba()) == PATHS
    assert scan_paths(with_paths(vmamba(), ("column",))) == PATHS
    for paths in ((), ("sideways",), ("forward", "row")):
        with pytest.raises(ValueError, match=r"one or more of \('forward', 'backward'\), got"):
            with_paths(vim(), paths)
    with pytest.raises(ValueError, match=r"one or more of \('forward',\), got \('backward',\)"):
        with_paths(with_mixing(vim(), "causal"), ("backward",))


@pytest.mark.parametrize("name", networks())
def test_every_family_has_a_choice_or_a_reason(name):
    model = small(name)
    if scan_paths(model):
        assert why_paths_are_fixed(model) is None
        assert with_paths(model, scan_paths(model)[:1]) is not model
        return
    with pytest.raises(TypeError, match=type(model).__name__) as error:
        with_paths(model, ("forward",))
    assert str(error.value) == why_paths_are_fixed(model)


def test_models_of_others_have_no_paths():
    with pytest.raises(TypeError, match="ResNet has no scan paths"):
        with_paths(timm.create_model("test_resnet"), ("forward",))
