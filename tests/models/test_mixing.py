"""The causal switch: exact by Jacobian, and harmless to the model it is applied to."""

from __future__ import annotations

import threading

import pytest
import timm
import torch
from torch import nn

from mambaout import with_mixing
from mambaout.models.gated_cnn import MixingConv2d
from mambaout.models.vim import VisionMamba

GRID = (4, 5)  # not square: a transposed grid would show


def redrawn(model):
    """Weights drawn anew: as initialised, LayerScale and zero biases hide what a mixer does."""
    rng = torch.Generator().manual_seed(1)
    for name, p in model.named_parameters():
        if not name.endswith(("A_log", "A_b_log")):
            p.data = torch.randn(p.shape, generator=rng) * (0.3 if p.ndim > 1 else 0.5)
    return model.eval().requires_grad_(False)


def gated_cnn():
    model = redrawn(timm.create_model("test_mambaout"))
    return model, lambda view: view.stages[0].blocks[0], (1, *GRID, 16)


def vim():
    model = redrawn(
        VisionMamba(img_size=(64, 80), patch_size=16, embed_dim=32, depth=2, num_classes=7)
    )
    return model, lambda view: view.layers[1], (1, GRID[0] * GRID[1] + 1, 32)


FAMILIES = {"gated_cnn": gated_cnn, "vim": vim}


@pytest.fixture(params=FAMILIES)
def family(request):
    return FAMILIES[request.param]()


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


def test_causal_mixer_never_looks_ahead(family):
    model, mixer, shape = family
    before = jacobian_by_token(mixer(model), shape)
    assert before.triu(1).max() > 1e-3
    after = jacobian_by_token(mixer(with_mixing(model, "causal")), shape)
    assert after.tril(-1).max() > 1e-3
    assert after.triu(1).max() == 0


def test_what_came_before_does_not_feel_what_comes_after(family):
    """Prefix invariance: no gradients involved."""
    model, mixer, shape = family
    causal = mixer(with_mixing(model, "causal"))
    tokens = torch.randn(shape)
    changed = tokens.clone()
    changed.view(-1, shape[-1])[9:] = torch.randn(changed.view(-1, shape[-1])[9:].shape)
    before, after = (causal(t).reshape(-1, shape[-1]) for t in (tokens, changed))
    assert (before[9:] - after[9:]).abs().max() > 1e-3
    torch.testing.assert_close(before[:9], after[:9], rtol=0, atol=1e-6)


def test_causal_and_back_is_the_model_itself(family):
    model, mixer, shape = family
    tokens = torch.randn(shape)
    again = with_mixing(with_mixing(model, "causal"), "bidirectional")
    assert torch.equal(mixer(again)(tokens), mixer(model)(tokens))


def test_view_shares_every_weight_and_leaves_the_model_alone(family):
    model, mixer, shape = family
    tokens = torch.randn(shape)
    before = mixer(model)(tokens)
    view = with_mixing(model, "causal")
    assert (mixer(view)(tokens) - before).abs().max() > 1e-3
    assert torch.equal(mixer(model)(tokens), before)
    ours = {name: p.data_ptr() for name, p in model.named_parameters()}
    assert {name: p.data_ptr() for name, p in view.named_parameters()} == ours
    assert view.training == model.training


def test_both_mixings_answer_at_the_same_time(family):
    model, mixer, shape = family
    tokens = torch.randn(shape)
    views = [with_mixing(model, mixing) for mixing in ("bidirectional", "causal")]
    expected = [mixer(view)(tokens) for view in views]
    wrong = []

    def ask(view, answer):
        wrong.extend(1 for _ in range(20) if not torch.equal(mixer(view)(tokens), answer))

    threads = [
        threading.Thread(target=ask, args=pair) for pair in zip(views, expected, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not torch.equal(*expected)
    assert wrong == []


@torch.no_grad()
def test_causal_vim_reads_the_upper_half_of_the_picture_only():
    """Its class token stands mid-way: everything it may see lies above."""
    model, _, _ = vim()
    image = torch.randn(1, 3, 64, 80)
    below = image.clone()
    below[:, :, 32:] = torch.randn(1, 3, 32, 80)
    causal = with_mixing(model, "causal")
    assert (model(image) - model(below)).abs().max() > 1e-3
    assert torch.equal(causal(image), causal(below))


@torch.no_grad()
def test_forward_scan_is_not_halved():
    model, _, _ = vim()
    mixer = model.layers[0].mixer
    tokens = torch.randn(1, 21, 32)
    causal = with_mixing(model, "causal").layers[0].mixer
    # the mean of a forward-only and a backward-only mixer is the bidirectional one
    mirrored = with_mixing(model, "causal").layers[0].mixer
    for name in ("conv1d", "x_proj", "dt_proj"):
        setattr(mirrored, name, getattr(mixer, f"{name}_b"))
    mirrored.A_log, mirrored.D = mixer.A_b_log, mixer.D_b
    both = (causal(tokens) + mirrored(tokens.flip(1)).flip(1)) / 2
    torch.testing.assert_close(both, mixer(tokens), rtol=1e-4, atol=1e-5)


def test_constructor_says_the_same_as_the_switch():
    built = timm.create_model("vim_atto", num_classes=5, mixing="causal").eval()
    switched = timm.create_model("vim_atto", num_classes=5).eval()
    switched.load_state_dict(built.state_dict())
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(with_mixing(switched, "causal")(image), built(image))
    assert (switched(image) - built(image)).abs().max() > 1e-4
    assert "mixing='causal'" in repr(built)


def test_a_model_without_such_mixers_is_refused():
    with pytest.raises(TypeError, match="no token mixer with a causal form"):
        with_mixing(nn.Sequential(nn.Linear(2, 2)), "causal")


def test_an_unknown_mixing_is_refused():
    with pytest.raises(ValueError, match="mixing must be one of"):
        with_mixing(nn.Linear(2, 2), "forward")
    with pytest.raises(ValueError, match="mixing must be one of"):
        timm.create_model("vim_atto", mixing="sideways")


def test_every_mambaout_of_timm_has_the_switch():
    for name in timm.list_models("mambaout_*", module="mambaout"):
        with torch.device("meta"):
            model = timm.create_model(name)
        view = with_mixing(model, "causal")
        blocks = [m for m in view.modules() if type(m).__name__ == "GatedConvBlock"]
        assert len(blocks) >= 10
        assert all(isinstance(b.conv, MixingConv2d) and b.conv.mixing == "causal" for b in blocks)


@pytest.mark.parametrize("architecture", ["mambaout_atto", "vim_atto", "vmamba_atto", "vit_atto"])
@torch.no_grad()
def test_a_tag_that_says_causal_builds_a_causal_model(architecture):
    """By its tag alone, with weights or without; and the other view is one call away."""
    causal = timm.create_model(f"{architecture}.tiny_imagenet_causal").eval()
    plain = timm.create_model(f"{architecture}.tiny_imagenet").eval()
    assert causal.pretrained_cfg["file"] == f"{architecture}.tiny_imagenet_causal.safetensors"
    plain.load_state_dict(causal.state_dict())
    image = torch.randn(1, 3, 64, 64)
    assert torch.equal(with_mixing(causal, "causal")(image), causal(image))
    other = with_mixing(causal, "bidirectional")(image)
    assert (other - causal(image)).abs().max() > 1e-4
    if architecture == "vim_atto":  # whose class token stands elsewhere, so that it sees everything
        assert (causal.class_token_index, plain.class_token_index) == (256, 128)
    else:
        torch.testing.assert_close(other, plain(image), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(with_mixing(plain, "causal")(image), causal(image))
