"""What every model of ours must be able to do because timm's can."""

from __future__ import annotations

import timm
import torch
from timm.models import group_parameters


def check_features(name, image, as_map=lambda features: features, **config):
    """`features_only`, the list by indices and the hooks on `feature_info`'s modules, agree.

    ``as_map`` lays out what a module puts out as (b, c, h, w).
    """

    def build(**options):
        torch.manual_seed(0)
        return timm.create_model(name, **config, **options).eval()

    model = build()
    indices = list(range(len(model.feature_info)))
    with torch.no_grad():
        final, maps = model.forward_intermediates(image)
        torch.testing.assert_close(final, model.forward_features(image))
        for stop_early in (False, True):
            (first,) = model.forward_intermediates(
                image, indices=[0], stop_early=stop_early, intermediates_only=True
            )
            assert torch.equal(first, maps[0])
    for info, features in zip(model.feature_info, maps, strict=True):
        assert features.shape[:2] == (len(image), info["num_chs"])
        assert features.shape[2] == -(-image.shape[2] // info["reduction"])
    for feature_cls in ("getter", "hook"):
        extractor = build(features_only=True, out_indices=indices, feature_cls=feature_cls)
        with torch.no_grad():
            got = extractor(image)
        if feature_cls == "hook":
            got = [as_map(features) for features in got]
        for features, expected in zip(got, maps, strict=True):
            assert torch.equal(features, expected)
    pruned = build(features_only=True, out_indices=(0,))
    assert sum(p.numel() for p in pruned.parameters()) < sum(p.numel() for p in model.parameters())
    assert len(pruned(image)) == 1


def check_head(model, image):
    """The classifier can be read, left out, replaced; the features stay."""
    model.eval()
    with torch.no_grad():
        features = model.forward_features(image)
        pooled = model.forward_head(features, pre_logits=True)
        assert pooled.shape == (len(image), model.num_features)
        assert model.head_hidden_size == model.num_features
        assert torch.equal(model.get_classifier()(pooled), model(image))
        model.reset_classifier(0)
        assert torch.equal(model(image), pooled)
        model.reset_classifier(0, "")
        assert torch.equal(model(image), features)
        model.reset_classifier(5, "avg")
        assert model(image).shape == (len(image), 5)
        assert model.get_classifier().weight.shape == (5, model.num_features)


def check_learning(model, image, checkpointed):
    """Every parameter has a gradient, the same with checkpointing, and belongs to a group.

    ``checkpointed`` names a module that runs twice where checkpointing is on.
    """
    model.train()

    def gradients():
        model.zero_grad()
        torch.manual_seed(0)
        model(image).square().sum().backward()
        return {name: p.grad for name, p in model.named_parameters()}

    plain = gradients()
    assert [n for n, g in plain.items() if g is None or not g.any()] == []
    model.set_grad_checkpointing()
    calls = []
    handle = model.get_submodule(checkpointed).register_forward_hook(lambda *_: calls.append(1))
    torch.testing.assert_close(gradients(), plain)
    handle.remove()
    assert len(calls) == 2  # once on the way there, once on the way back
    names = {name for name, _ in model.named_parameters()}
    assert model.no_weight_decay() <= names
    for coarse in (False, True):
        grouped = group_parameters(model, model.group_matcher(coarse=coarse))
        assert {name for group in grouped.values() for name in group} == names
        assert len(grouped) > 2
