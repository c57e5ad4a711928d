"""The causal form of a ViT: exact, and with a prediction that still depends on the picture."""

from __future__ import annotations

import pytest
import timm
import torch
from timm.models import model_entrypoint
from timm.models.vision_transformer import ParallelScalingBlock, VisionTransformer

from mambaout import with_mixing
from mambaout.models import token_grid
from mambaout.models.attention import MixingAttention
from tests.models.causality import jacobian_by_token, redrawn
from tests.models.citizen import check_features

LENGTH = 12


def vit(**config):
    """A small ViT of 3 x 4 patches."""
    small = {"img_size": (24, 32), "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    return redrawn(VisionTransformer(**small | {"num_classes": 5} | config))


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize(
    ("prefix", "config"),
    [
        (1, {}),
        (0, {"class_token": False, "global_pool": "avg"}),
        (3, {"reg_tokens": 2}),
        (1, {"qk_norm": True, "scale_attn_norm": True}),
    ],
    ids=["class token", "none", "registers", "norms"],
)
def test_causal_attention_never_looks_ahead(prefix, config, fused):
    model = vit(**config)
    model.blocks[1].attn.fused_attn = fused
    shape = (1, LENGTH + prefix, 32)
    native = jacobian_by_token(model.blocks[1].attn, shape)
    assert native.min() > 1e-5  # every token sees every other
    attention = with_mixing(model, "causal").blocks[1].attn
    assert attention.fused_attn is fused
    causal = jacobian_by_token(attention, shape)
    patches = causal[prefix:, prefix:]
    assert patches.triu(1).max() == 0
    assert (patches + torch.ones(LENGTH, LENGTH).triu(1)).min() > 1e-5
    # Or the future would come in through the class token.
    assert (causal[prefix:, :prefix] == 0).all()
    assert (causal[:prefix] > 1e-5).all()


@torch.no_grad()
def test_the_prediction_depends_on_the_picture():
    """With the usual triangle it would not: the class token stands first and would see itself."""
    model = vit()
    images = torch.randn(2, 3, 24, 32)
    trap = model(images, is_causal=True)
    assert torch.equal(trap[0], trap[1])
    causal = with_mixing(model, "causal")
    logits = causal(images)
    assert (logits[0] - logits[1]).abs().max() > 1e-2
    assert (logits - model(images)).abs().max() > 1e-2


def test_every_patch_reaches_the_prediction():
    image = torch.randn(1, 3, 24, 32, requires_grad=True)
    with_mixing(vit(), "causal")(image)[0, 2].backward()
    by_patch = image.grad.abs().unfold(2, 8, 8).unfold(3, 8, 8).sum((0, 1, 4, 5))
    assert by_patch.shape == (3, 4)
    assert by_patch.min() > 1e-4


@torch.no_grad()
def test_what_came_before_does_not_feel_what_comes_after():
    """Through the whole network: the patches of a ViT do not overlap."""
    model = vit()
    image = torch.randn(1, 3, 24, 32)
    changed = image.clone()
    changed[:, :, 8:16, 24:] = torch.randn(8, 8)  # patch 7
    changed[:, :, 16:] = torch.randn(8, 32)
    native, causal = (
        [m.forward_features(picture)[0, 1:] for picture in (image, changed)]
        for m in (model, with_mixing(model, "causal"))
    )
    assert (native[0] - native[1])[:7].abs().max() > 1e-2
    assert (causal[0] - causal[1])[7:].abs().max() > 1e-2
    torch.testing.assert_close(causal[0][:7], causal[1][:7], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_view_and_the_way_back():
    model = vit()
    images = torch.randn(2, 3, 24, 32)
    native = model(images)
    view = with_mixing(model, "causal")
    expected = view(images)
    assert torch.equal(model(images), native)
    assert torch.equal(with_mixing(view, "bidirectional")(images), native)
    assert torch.equal(with_mixing(with_mixing(view, "bidirectional"), "causal")(images), expected)
    assert list(view.state_dict()) == list(model.state_dict())
    ours = {name: p.data_ptr() for name, p in model.named_parameters()}
    assert {name: p.data_ptr() for name, p in view.named_parameters()} == ours
    assert "mixing='causal'" in repr(view)


def test_a_second_mask_is_refused():
    view = with_mixing(vit(), "causal")
    with pytest.raises(ValueError, match="causal already"):
        view(torch.randn(1, 3, 24, 32), is_causal=True)


@pytest.mark.parametrize(
    ("config", "mixer"),
    [
        ({"block_fn": ParallelScalingBlock}, "ParallelScalingBlock"),
        ({"attn_layer": "diff"}, "DiffAttention"),
    ],
)
def test_other_token_mixers_are_refused(config, mixer):
    with pytest.raises(TypeError, match=f"mixes its tokens through {mixer}"):
        with_mixing(vit(**config), "causal")


@pytest.mark.parametrize(
    "name", ["deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_small_patch16_224"]
)
def test_timms_models_have_the_switch(name):
    with torch.device("meta"):
        model = timm.create_model(name)
    view = with_mixing(model, "causal")
    attentions = [m for m in view.modules() if isinstance(m, MixingAttention)]
    assert len(attentions) == 12
    assert {a.prefix_tokens for a in attentions} == {2 if "distilled" in name else 1}
    assert {a.mixing for a in attentions} == {"causal"}
    assert not any(isinstance(m, MixingAttention) for m in model.modules())


@torch.no_grad()
def test_the_class_token_is_left_out_of_the_grid():
    model = vit()
    tokens = token_grid(model)
    got = []
    model.get_submodule(tokens.default_target).register_forward_hook(
        lambda _m, _x, y: got.append((y, tokens.to_nchw(y)))
    )
    model(torch.randn(1, 3, 24, 32))
    features, nchw = got[0]
    assert nchw.shape == (1, 32, 3, 4)
    assert torch.equal(nchw[0, :, 1, 2], features[0, 1 + 6])
    assert token_grid(vit(class_token=False, global_pool="avg")).class_token_index is None
    with pytest.raises(TypeError, match="at most a class token before its patches, got 2"):
        token_grid(vit(reg_tokens=1))


class TestMiniature:
    def test_is_as_large_as_vim_atto(self):
        ours, vim = (timm.create_model(name, num_classes=24) for name in ("vit_atto", "vim_atto"))
        count, vims = (sum(p.numel() for p in model.parameters()) for model in (ours, vim))
        assert abs(count / vims - 1) < 0.1
        assert token_grid(ours).grid == token_grid(vim).grid == (16, 16)
        assert model_entrypoint("vit_atto").__module__ == "mambaout.models.attention"

    @torch.no_grad()
    def test_constructor_says_the_same_as_the_switch(self):
        built = timm.create_model("vit_atto", num_classes=5, mixing="causal").eval()
        switched = timm.create_model("vit_atto", num_classes=5).eval()
        switched.load_state_dict(built.state_dict())
        image = torch.randn(1, 3, 64, 64)
        assert torch.equal(with_mixing(switched, "causal")(image), built(image))
        assert (switched(image) - built(image)).abs().max() > 1e-5
        with pytest.raises(ValueError, match="mixing must be one of"):
            timm.create_model("vit_atto", mixing="sideways")

    def test_gives_features(self):
        model = timm.create_model("vit_atto")
        image = torch.randn(1, 3, 64, 64)
        check_features("vit_atto", image, token_grid(model).to_nchw)
