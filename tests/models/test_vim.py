"""Vim: the authors' numbers, the manners of a timm model, other picture sizes."""

from __future__ import annotations

import pytest
import timm
import torch

from mambaout import with_mixing
from mambaout.models import token_grid
from mambaout.models.position import resize_with_class_token
from mambaout.models.vim import VisionMamba, checkpoint_filter_fn
from mambaout.ops import plain_selective_scan
from tests.models.golden import load_golden, relative_error, weights


def recorded(name):
    """The model a golden file describes, with its weights, and the file."""
    meta, tensors = load_golden(name)
    config = meta["config"]
    model = VisionMamba(
        img_size=config["img_size"],
        patch_size=config["patch_size"],
        stride=config.get("stride"),
        num_classes=config.get("num_classes", 1000),
        embed_dim=config["embed_dim"],
        depth=config["depth"],
    ).eval()
    model.load_state_dict(weights(meta, tensors))
    return model, meta, tensors


@pytest.mark.parametrize("name", ["vim_mini", "vim_mini_eps", "vim_mini_stride8", "vim_tiny"])
@torch.no_grad()
def test_gives_the_authors_numbers(name):
    model, meta, tensors = recorded(name)
    image, tolerances = tensors["in.image"], meta["tolerances"]
    features = model.forward_features(image)
    pooled = model.forward_head(features, pre_logits=True)
    got = {"logits": model(image), "features": pooled}
    _, blocks = model.forward_intermediates(image, output_fmt="NLC")
    # The authors note the stream before a block's mixer: what the block before it left.
    got |= {f"block.{i + 1:02d}.residual": x for i, x in enumerate(blocks)}
    checked = [output for output in got if f"out.{output}" in tensors]
    assert {"logits", "features"} <= set(checked)
    for output in checked:
        error = relative_error(got[output], tensors[f"out.{output}"])
        assert error <= tolerances[output], output


@torch.no_grad()
def test_a_picture_does_not_see_its_neighbour_in_the_batch():
    model, meta, tensors = recorded("vim_mini")
    image = tensors["in.image"]
    alone = torch.cat([model(picture[None]) for picture in image])
    assert (alone[0] - alone[1]).abs().max() > 0.1
    assert relative_error(alone, tensors["out.logits"]) <= meta["tolerances"]["logits"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("vim_tiny_patch16_224", 7_148_008),
        ("vim_small_patch16_224", 25_796_584),
        ("vim_base_patch16_224", 97_598_440),
        ("vim_tiny_patch16_stride8_224", 7_250_344),
        ("vim_small_patch16_stride8_224", 26_001_256),
    ],
)
def test_sizes_are_the_authors(name, parameters):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == 415


def test_class_token_stands_before_the_middle_patch():
    model = VisionMamba(img_size=(64, 80), patch_size=16, depth=1, embed_dim=32, num_classes=3)
    assert model.grid == (4, 5)
    assert model.class_token_index == 10


def with_end_token(**options):
    """A small Vim whose class token stands last, its weights far from their first values."""
    config = {"patch_size": 8, "embed_dim": 16, "depth": 2, "num_classes": 3, "class_token": "end"}
    model = VisionMamba(**config | options).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.endswith(("A_log", "A_b_log")):
                parameter.normal_(std=0.3)
    return model


@torch.no_grad()
def test_a_class_token_at_the_end_reads_the_last_row_and_the_patches_keep_theirs():
    model = with_end_token(img_size=(32, 40))
    assert model.grid == (4, 5)
    assert model.class_token_index == token_grid(model).class_token_index == 20
    image = torch.randn(2, 3, 32, 40)
    features = model.forward_features(image)
    assert torch.equal(model(image), model.head(features[:, 20]))
    assert torch.equal(model.forward_head(features, pre_logits=True), features[:, 20])
    maps = model.forward_intermediates(image, [1], norm=True, intermediates_only=True)[0]
    assert torch.equal(maps, features[:, :20].mT.unflatten(2, (4, 5)))
    assert torch.equal(token_grid(model).to_nchw(features), maps)
    model.reset_classifier(3, global_pool="avg")
    torch.testing.assert_close(model(image), model.head(features[:, :20].mean(1)))


def test_a_causal_prediction_sees_every_patch_only_from_the_end():
    image = torch.randn(1, 3, 32, 40, requires_grad=True)

    def seen(place):
        model = with_end_token(img_size=(32, 40), class_token=place, mixing="causal")
        (gradient,) = torch.autograd.grad(model(image)[0, 0], image)
        return gradient.abs().sum(1).view(4, 8, 5, 8).sum((1, 3)) > 0  # (4, 5)

    assert seen("end").all()
    assert seen("middle").flatten().tolist() == [True] * 10 + [False] * 10


def test_with_its_token_at_the_end_every_token_is_exactly_blind_to_later_ones():
    causal = with_mixing(with_end_token(img_size=(32, 40)), "causal")
    tokens = torch.randn(1, 21, 16)
    weight = torch.randn(16)  # random: the sum over a normed vector's channels is constant
    jacobian = (
        torch.autograd.functional.jacobian(
            lambda t: (causal.layers[1](t) * weight).sum(-1)[0], tokens
        )
        .abs()[:, 0]
        .sum(-1)
    )  # (21, 21): output token, input token
    assert jacobian.tril(-1).max() > 1e-3
    assert jacobian[20].min() > 0
    assert jacobian.triu(1).max() == 0


@torch.no_grad()
def test_another_picture_size_keeps_the_last_row_for_the_class_token():
    """A ramp over the rows stays a ramp, by the model itself and when weights are loaded."""
    ramp = torch.linspace(0, 1, 4)[:, None].expand(4, 4).reshape(16)
    position = torch.cat([ramp, torch.tensor([9.0])])[None, :, None]
    small = with_end_token(img_size=32, embed_dim=1, depth=0)
    resized = small.resized_position(position, (4, 4), (8, 8))[0, :, 0]
    assert resized[64] == 9
    patches = resized[:64].view(8, 8)
    assert (patches - patches[:, :1]).abs().max() < 1e-5
    assert (patches[1:, 0] > patches[:-1, 0]).all()
    large = with_end_token(img_size=64, embed_dim=1, depth=0)
    loaded = checkpoint_filter_fn({"pos_embed": position}, large)["pos_embed"]
    assert torch.equal(loaded[0, :, 0], resized)
    # a fixed model of the larger size, with resized weights, is the dynamic one on such a picture
    dynamic, fixed = with_end_token(img_size=32, dynamic_img_size=True), with_end_token(img_size=64)
    fixed.load_state_dict(checkpoint_filter_fn(dynamic.state_dict(), fixed))
    image = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(dynamic(image), fixed(image))


def test_the_class_token_has_three_places():
    with pytest.raises(ValueError, match='must be "middle", "end" or None, got \'front\''):
        VisionMamba(class_token="front")


def test_refuses_a_picture_of_another_size():
    model = VisionMamba(img_size=64, depth=1, embed_dim=32, num_classes=3)
    with pytest.raises(ValueError, match=r"expected pictures of 64x64 pixels, got 64x96"):
        model(torch.randn(1, 3, 64, 96))
    with pytest.raises(ValueError, match="do not cover"):
        VisionMamba(img_size=70)


@torch.no_grad()
def test_dynamic_size_takes_another_size_and_changes_nothing_at_its_own():
    fixed, _, tensors = recorded("vim_mini")
    dynamic = VisionMamba(
        img_size=64, num_classes=10, embed_dim=48, depth=4, dynamic_img_size=True
    ).eval()
    dynamic.load_state_dict(fixed.state_dict())
    image = tensors["in.image"]
    assert torch.equal(dynamic(image), fixed(image))
    assert dynamic(torch.randn(1, 3, 96, 128)).shape == (1, 10)


def test_position_embeddings_are_resized_around_the_class_token():
    """A ramp over the rows stays a ramp, and the class token's row is carried over as it is."""
    ramp = torch.linspace(0, 1, 4)[:, None].expand(4, 4).reshape(16)
    position = torch.cat([ramp[:8], torch.tensor([9.0]), ramp[8:]])[None, :, None]
    resized = resize_with_class_token(position, (4, 4), (8, 8))[0, :, 0]
    assert resized[32] == 9
    patches = torch.cat([resized[:32], resized[33:]]).view(8, 8)
    assert (patches - patches[:, :1]).abs().max() < 1e-5
    assert (patches[1:, 0] > patches[:-1, 0]).all()
    model = VisionMamba(img_size=128, num_classes=3, embed_dim=1, depth=0)
    assert torch.equal(
        checkpoint_filter_fn({"pos_embed": position}, model)["pos_embed"][0, :, 0], resized
    )


def test_every_parameter_learns():
    model = VisionMamba(img_size=32, patch_size=8, num_classes=3, embed_dim=32, depth=2)
    model(torch.randn(2, 3, 32, 32)).square().sum().backward()
    idle = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert idle == []


def test_checkpointing_changes_no_gradient():
    model = VisionMamba(img_size=32, patch_size=8, num_classes=3, embed_dim=32, depth=2)
    image = torch.randn(1, 3, 32, 32)

    def gradient():
        model.zero_grad()
        model(image).sum().backward()
        return model.layers[0].mixer.in_proj.weight.grad.clone()

    plain = gradient()
    model.set_grad_checkpointing()
    torch.testing.assert_close(gradient(), plain)


def test_without_a_class_token_the_patches_are_averaged():
    model = VisionMamba(
        img_size=32, patch_size=8, num_classes=3, embed_dim=32, depth=1, class_token=None
    ).eval()
    image = torch.randn(1, 3, 32, 32)
    features = model.forward_features(image)
    assert features.shape == (1, 16, 32)
    torch.testing.assert_close(model(image), model.head(features.mean(1)))
    with pytest.raises(ValueError, match='global_pool must be "avg"'):
        model.reset_classifier(3, global_pool="token")


def test_features_only_gives_maps():
    model = timm.create_model("vim_atto", features_only=True, out_indices=(1, 5))
    maps = model(torch.randn(1, 3, 64, 64))
    assert [tuple(m.shape) for m in maps] == [(1, 128, 16, 16)] * 2
    assert model.feature_info.channels() == [128, 128]
    assert model.feature_info.reduction() == [4, 4]


def test_scan_inputs_are_what_the_mixer_computes_with():
    """The scans of `scan_inputs`, put back in place, averaged and gated, are the mixer's output."""
    model, _, _ = recorded("vim_mini")
    mixer = model.layers[1].mixer
    tokens = torch.randn(2, 17, 48)
    total = 0
    for scan in mixer.scan_inputs(tokens):
        y = plain_selective_scan(scan.u, scan.delta, scan.A, scan.B, scan.C, scan.D, z=scan.z)
        in_place = torch.empty_like(y)
        in_place[..., scan.order] = y
        total = total + in_place / 2
    torch.testing.assert_close(mixer.out_proj(total.mT), mixer(tokens), rtol=1e-4, atol=1e-5)
    assert [scan.path for scan in mixer.scan_inputs(tokens)] == ["forward", "backward"]
