"""MambaOut through timm: the authors' numbers, and the miniature beside Vim's."""

from __future__ import annotations

import timm
import torch
from timm.models.mambaout import MambaOut, checkpoint_filter_fn

from mambaout.models import token_grid
from tests.models.golden import load_golden, relative_error, weights


@torch.no_grad()
def test_timms_class_gives_the_authors_numbers():
    meta, tensors = load_golden("mambaout_mini_eps")
    config = meta["config"]
    model = MambaOut(
        depths=config["depths"], dims=config["dims"], num_classes=config["num_classes"]
    ).eval()
    model.load_state_dict(checkpoint_filter_fn(weights(meta, tensors), model))
    error = relative_error(model(tensors["in.image"]), tensors["out.logits"])
    assert error <= meta["tolerances"]["logits"]


def test_the_two_miniatures_are_of_a_size():
    sizes = [
        sum(p.numel() for p in timm.create_model(name, num_classes=24).parameters())
        for name in ("mambaout_atto", "vim_atto")
    ]
    assert all(1e6 <= size <= 3e6 for size in sizes)
    assert max(sizes) <= 1.1 * min(sizes)


def test_maps_are_laid_out_channels_first():
    model = timm.create_model("mambaout_atto", num_classes=24).eval()
    features = model.forward_features(torch.randn(1, 3, 64, 96))
    assert features.shape == (1, 4, 6, 160)
    laid_out = token_grid(model).to_nchw(features)
    assert laid_out.shape == (1, 160, 4, 6)
    assert torch.equal(laid_out[0, :, 1, 5], features[0, 1, 5])


def test_registering_ours_left_timms_weights_alone():
    assert "mambaout_tiny.in1k" in timm.list_pretrained("mambaout_tiny*")
    assert type(timm.create_model("mambaout_femto")).__module__ == "timm.models.mambaout"
