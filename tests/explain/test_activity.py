"""Mixer activity against mixers written out, and against what is known beforehand."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F

from mambaout import with_mixing
from mambaout.errors import ExplanationError
from mambaout.explain import MixerActivity, mixer_activity, mixer_names, scan_trace
from tests.explain.guests import FAMILIES, SIZE, busy_model, left_as_found, picture
from tests.explain.guests import small_mambaout as mambaout
from tests.explain.guests import small_vim as vim
from tests.explain.test_reads import OTHERS
from tests.models.causality import redrawn


@torch.no_grad()
def test_a_gated_convolution_by_hand():
    model = redrawn(mambaout())
    x = model.stages[1].downsample(model.stages[0](model.stem(picture())))
    block = model.stages[1].blocks[0]
    g, i, c = block.fc1(block.norm(x)).split(block.split_indices, dim=-1)
    c = F.conv2d(c.permute(0, 3, 1, 2), block.conv.weight, block.conv.bias, padding=3, groups=24)
    whole = block.fc2(F.gelu(g) * torch.cat([i, c.permute(0, 2, 3, 1)], dim=-1))

    got = mixer_activity(model, picture())[1]
    assert (got.layer, got.layer_index, got.grid) == ("stages.1.blocks.0", 1, (8, 12))
    assert got.kind == "gated 7x7 depthwise convolution"
    assert got.quantities == ("output", "gate", "mixed")
    for quantity, expected in (
        ("output", whole.norm(dim=-1)[0]),
        ("gate", F.gelu(g).abs().mean(-1)[0]),
        ("mixed", c.norm(dim=1)[0]),
    ):
        assert expected.std() > 1e-3 * expected.mean()
        np.testing.assert_allclose(got.on_grid(quantity), expected, rtol=1e-4)


def vit(**options):
    return redrawn(
        timm.create_model(
            "test_vit", img_size=SIZE, num_classes=3, class_token=True, global_pool="token"
        )
    )


@torch.no_grad()
def test_attention_is_spread_over_as_many_tokens_as_share_it():
    """With keys of zero, every token attends to all it may see, alike."""
    model = vit()
    for block in model.blocks:
        dim = block.attn.qkv.in_features
        block.attn.qkv.weight[dim : 2 * dim] = 0
        block.attn.qkv.bias[dim : 2 * dim] = 0
    n_tokens = model.pos_embed.shape[1]
    for got in mixer_activity(model, picture()):
        assert got.kind == "self-attention"
        assert got.quantities == ("output", "spread")
        np.testing.assert_allclose(got.spread, n_tokens, rtol=1e-5)
        assert got.class_token_index == 0
    for got in mixer_activity(with_mixing(model, "causal"), picture()):
        assert got.class_token("spread") == pytest.approx(n_tokens, rel=1e-5)
        seen = np.arange(1, n_tokens).reshape(got.grid)  # patches do not see the class token
        np.testing.assert_allclose(got.on_grid("spread"), seen, rtol=1e-5)


@torch.no_grad()
def test_attention_weights_by_hand():
    model = vit()
    tokens = model.blocks[0].norm1(model._pos_embed(model.patch_embed(picture())))
    attention = model.blocks[0].attn
    q, k, _ = attention.qkv(tokens).unflatten(-1, (3, attention.num_heads, -1)).unbind(2)
    weights = torch.einsum("bthc,bshc->bhts", q, k).mul(attention.scale).softmax(-1)
    perplexity = torch.exp(-(weights * weights.log()).nan_to_num(0).sum(-1)).mean(1)[0]
    assert 1 < perplexity.min() < perplexity.max() < len(perplexity)
    (got, *_) = mixer_activity(model, picture())
    np.testing.assert_allclose(got.spread, perplexity, rtol=1e-4)
    np.testing.assert_allclose(got.output, attention(tokens)[0].norm(dim=-1), rtol=1e-4)


@torch.no_grad()
def test_a_scan_has_the_gate_of_its_trace():
    model = redrawn(vim())
    trace = scan_trace(model, picture())
    x, _ = model._tokens(picture())
    for got, forward, backward, block in zip(
        mixer_activity(model, picture()), trace[::2], trace[1::2], model.layers, strict=True
    ):
        assert got.kind == "selective scan"
        for path in (forward, backward):
            np.testing.assert_allclose(got.on_grid("gate"), path.on_grid("gate"), rtol=1e-5)
            assert got.class_token("gate") == pytest.approx(path.class_token("gate"), rel=1e-5)
        y = block.mixer(block.norm(x))
        np.testing.assert_allclose(got.output, y[0].norm(dim=-1), rtol=1e-4)
        x = x + y


@pytest.mark.parametrize("family", OTHERS)
def test_no_mixer_of_any_family_is_without_activity(family):
    model = redrawn(OTHERS[family]())
    image = picture()[..., :64]
    activity = mixer_activity(model, image)
    assert tuple(a.layer for a in activity) == mixer_names(model)
    assert [a.layer_index for a in activity] == list(range(len(activity)))
    for got in activity:
        assert got.kind
        for quantity in got.quantities:
            values = got.on_grid(quantity)
            assert values.shape == got.grid
            assert np.isfinite(values).all()
            assert values.min() >= 0
            assert values.size == 1 or values.std() > 0
    (only,) = mixer_activity(model, image, layers=[activity[-1].layer])
    np.testing.assert_allclose(only.output, activity[-1].output, rtol=1e-5)
    assert only.layer_index == len(activity) - 1


def test_every_quantity_has_a_unit():
    arrays = {f.name for f in dataclasses.fields(MixerActivity) if "np.ndarray" in f.type}
    assert set(MixerActivity.units) == arrays - {"order"}


def test_is_a_good_guest():
    for family in FAMILIES:
        model = busy_model(family)
        with left_as_found(model):
            mixer_activity(model, picture())
        with left_as_found(model, RuntimeError):
            mixer_activity(model, picture()[:, :2])


def test_several_may_ask_one_model_at_once():
    model = vit()

    def ask(seed):
        return np.stack([a.spread for a in mixer_activity(model, picture(seed))])

    alone = [ask(seed) for seed in range(4)]
    assert abs(alone[0] - alone[1]).max() > 1e-3
    with ThreadPoolExecutor(4) as pool:
        for together, expected in zip(pool.map(ask, range(4)), alone, strict=True):
            np.testing.assert_allclose(together, expected, rtol=1e-5)


def test_says_what_is_wrong():
    model = redrawn(mambaout())
    with pytest.raises(ExplanationError, match=r"some of stages\.0\.blocks\.0, .*got \['x'\]"):
        mixer_activity(model, picture(), layers=["x"])
    with pytest.raises(ExplanationError, match="ResNet has not said"):
        mixer_activity(timm.create_model("test_resnet"), picture())
    with pytest.raises(ExplanationError, match="one picture"):
        mixer_activity(model, torch.zeros(2, 3, *SIZE))
    with torch.no_grad():
        model.stages[1].blocks[0].fc2.weight.fill_(torch.nan)
    with pytest.raises(ExplanationError, match=r"stages\.1\.blocks\.0 gives values that are"):
        mixer_activity(model, picture())
