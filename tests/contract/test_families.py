"""What every family must do because timm's do, and what ours add: a new one is tested by existing.

The checks of timm's own model tests are among them: forward, a gradient for every parameter, heads
that can be reset, features by index and by hook.
"""

from __future__ import annotations

import copy
import pickle
import re
from collections import Counter

import pytest
import torch
from safetensors.torch import save_file
from timm.models import group_parameters
from timm.optim import param_groups_layer_decay

from mambaout import with_mixing
from mambaout.errors import ExplanationError
from mambaout.explain import scan_trace
from mambaout.models import token_grid
from mambaout.models.checkpoints import load_checkpoint
from mambaout.models.mixing import set_mixing, why_no_causal_form
from tests.contract.families import HEIGHT, SMALL, WIDTH, family, networks, pictures, small
from tests.models.causality import jacobian_by_token, redrawn
from tests.models.citizen import check_features

pytestmark = pytest.mark.parametrize("name", networks())


@torch.no_grad()
def test_answers_each_picture_for_itself(name):
    model = redrawn(small(name))
    images = pictures(3)
    logits = model(images)
    assert logits.shape == (3, model.num_classes)
    assert logits.isfinite().all()
    assert (logits[0] - logits[1]).abs().max() > 1e-3
    alone = torch.cat([model(image[None]) for image in images])
    torch.testing.assert_close(alone, logits, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_head_can_be_read_left_out_and_replaced(name):
    model, images = redrawn(small(name)), pictures()
    features = model.forward_features(images)
    logits = model.forward_head(features)
    assert torch.equal(logits, model(images))
    pooled = model.forward_head(features, pre_logits=True)
    assert pooled.shape == (2, model.head_hidden_size)
    assert torch.equal(model.get_classifier()(pooled), logits)
    model.reset_classifier(0)
    assert torch.equal(model(images), pooled)
    model.reset_classifier(0, "")
    assert model(images).ndim == features.ndim
    assert model.head_hidden_size in model(images).shape
    model.reset_classifier(7, "avg")
    assert model.num_classes == 7
    assert model(images).shape == (2, 7)
    assert small(name, num_classes=0)(images).shape == pooled.shape


def test_features_by_index_by_getter_and_by_hook_agree(name):
    images = pictures()
    check_features(name, images, token_grid(small(name)).to_nchw, **SMALL[family(name)])


@torch.no_grad()
def test_features_are_as_announced(name):
    extractor = small(name, features_only=True)
    maps = extractor(pictures())
    assert len(maps) == len(extractor.feature_info.channels()) >= 2
    for features, channels, reduction in zip(
        maps, extractor.feature_info.channels(), extractor.feature_info.reduction(), strict=True
    ):
        if extractor.output_fmt == "NHWC":
            features = features.permute(0, 3, 1, 2)  # noqa: PLW2901 - the same map
        size = (-(-HEIGHT // reduction), -(-WIDTH // reduction))
        assert features.shape == (2, channels, *size)
        assert features.isfinite().all()


def test_every_parameter_learns_and_checkpointing_changes_nothing(name):
    model, images = small(name, drop_path_rate=0.1).train(), pictures()
    runs = Counter()
    for module in model.modules():
        module.register_forward_hook(lambda module, *_: runs.update([module]))

    def gradients():
        runs.clear()
        model.zero_grad()
        torch.manual_seed(0)
        model(images).square().sum().backward()
        return {name: parameter.grad for name, parameter in model.named_parameters()}

    plain = gradients()
    assert [name for name, g in plain.items() if g is None or not g.any()] == []
    once = Counter(runs)
    model.set_grad_checkpointing()
    torch.testing.assert_close(gradients(), plain)
    assert sum(runs[module] == 2 * once[module] for module in once) >= 10
    model.set_grad_checkpointing(False)
    gradients()
    assert runs == once


@pytest.mark.parametrize("coarse", [False, True])
def test_layers_are_grouped_from_stem_to_head(name, coarse):
    model = small(name)
    layer_of = group_parameters(model, model.group_matcher(coarse=coarse), reverse=True)
    assert set(layer_of) == {name for name, _ in model.named_parameters()}
    assert layer_of[f"{model.pretrained_cfg['first_conv']}.weight"] == 0
    head = layer_of[f"{model.pretrained_cfg['classifier']}.weight"]
    assert head == max(layer_of.values())
    stages = [".".join(info["module"].split(".")[:2]) for info in model.feature_info]
    deepest = [
        max(layer for name, layer in layer_of.items() if name.startswith(f"{stage}."))
        for stage in stages
    ]
    assert deepest[0] > 0
    assert deepest == sorted(set(deepest))
    assert deepest[-1] <= head


def test_optimizer_gets_every_parameter_once(name):
    model = small(name)
    without_decay = getattr(model, "no_weight_decay", set)()
    names = {parameter: name for name, parameter in model.named_parameters()}
    # timm's ViT also names tokens that it does not have.
    ours = type(model).__module__.startswith("mambaout.")
    assert without_decay <= set(names.values()) or not ours
    groups = param_groups_layer_decay(model, 0.05, no_weight_decay_list=without_decay)
    decay = {names[p]: group["weight_decay"] for group in groups for p in group["params"]}
    assert set(decay) == set(names.values())
    assert sum(len(group["params"]) for group in groups) == len(names)
    assert {decay.get(name, 0.0) for name in without_decay} <= {0.0}
    assert 0.05 in decay.values()


@torch.no_grad()
def test_copies_and_files_answer_as_the_model(name, tmp_path):
    model, images = redrawn(small(name)), pictures()
    expected = model(images)
    # safetensors refuses tensors that share their memory.
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    loaded = small(name)
    assert not torch.equal(loaded.eval()(images), expected)
    report = load_checkpoint(loaded, tmp_path / "weights.safetensors")
    assert report.matched == report.total == len(model.state_dict())
    for twin in (loaded, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(images), expected)
        assert not {p.data_ptr() for p in twin.parameters()} & {
            p.data_ptr() for p in model.parameters()
        }


@torch.no_grad()
def test_takes_pictures_of_other_sizes(name):
    model = redrawn(small(name))
    other = torch.randn(1, 3, WIDTH, HEIGHT + 32)
    if model.pretrained_cfg["fixed_input_size"]:
        with pytest.raises((AssertionError, ValueError)):  # timm's ViT asserts
            model(other)
        weights = model.state_dict()
        model = small(name, dynamic_img_size=True).eval()
        model.load_state_dict(weights)
    answer = model(other)
    assert answer.isfinite().all()
    assert (answer - model(other.flip(3))).abs().max() > 1e-3


@torch.no_grad()
def test_takes_pictures_of_other_channels(name):
    model = small(name, in_chans=1)
    assert model.get_submodule(model.pretrained_cfg["first_conv"]).in_channels == 1
    assert model.eval()(pictures(channels=1)).isfinite().all()


def test_causal_form_is_exact_or_refused_with_a_reason(name):
    model = redrawn(small(name))
    reason = why_no_causal_form(model)
    if reason is not None:
        assert reason.startswith(f"{type(model).__name__} has no causal form: ")
        with pytest.raises(TypeError) as refusal:
            with_mixing(model, "causal")
        assert str(refusal.value) == reason
        with pytest.raises(TypeError, match="mixing"):
            small(name, mixing="causal")
        return
    view = with_mixing(model, "causal")
    shapes = _mixer_inputs(view)
    assert shapes
    for mixer, shape in shapes.items():
        before = jacobian_by_token(model.get_submodule(mixer), shape)
        assert before.triu(1).max() > 1e-3, mixer
        after = jacobian_by_token(view.get_submodule(mixer), shape)
        if token_grid(model).class_token_index == 0:
            # A class token in front sees all that follows; nobody sees it.
            assert after[0].min() > 0
            assert after[1:, 0].max() == 0
            after = after[1:, 1:]
        assert after.tril(-1).max() > 1e-3, mixer
        assert after.triu(1).max() == 0, mixer
    built = small(name, mixing="causal").eval()
    built.load_state_dict(model.state_dict())
    images = pictures()
    with torch.no_grad():  # the weights of `built` ask for gradients, those of the view do not
        assert torch.equal(built(images), view(images))
    assert (view(images) - model(images)).abs().max() > 1e-3


def _mixer_inputs(view):
    """Name → shape of the tokens it is given, for the first mixer of each kind in a causal view."""
    shapes, kinds = {}, set()

    def note(name):
        def hook(_mixer, inputs):
            shapes[name] = (1, *inputs[0].shape[1:])

        return hook

    handles = []
    for name, module in view.named_modules():
        switches = set_mixing.dispatch(type(module)) is not set_mixing.dispatch(object)
        if switches and module is not view and type(module) not in kinds:
            kinds.add(type(module))
            handles.append(module.register_forward_pre_hook(note(name)))
    with torch.no_grad():
        view(pictures(1))
    for handle in handles:
        handle.remove()
    return shapes


def test_scans_can_be_traced_or_there_are_none(name):
    model = redrawn(small(name))
    mixers = [name for name, module in model.named_modules() if hasattr(module, "scan_inputs")]
    if not mixers:
        with pytest.raises(ExplanationError, match="has no scan"):
            scan_trace(model, pictures(1))
        return
    traces = scan_trace(model, pictures(1))
    assert {trace.layer for trace in traces} == set(mixers)
    for trace in traces:
        kept = trace.retention
        assert len(kept) == len(trace.order) > 1
        assert ((kept > 0) & (kept < 1)).all(), trace.layer
        assert trace.on_grid("delta").shape == trace.grid


def test_says_where_its_tokens_are(name):
    model = redrawn(small(name))
    tokens = token_grid(model)
    assert tokens.default_target in tokens.targets
    assert len(tokens.targets) > 2
    assert len(set(tokens.titles)) == len(tokens.targets)
    assert all(re.match(r"(stage \d+)?(, )?(block \d+ of \d+)?$", title) for title in tokens.titles)
    met = {}
    for target in tokens.targets:
        model.get_submodule(target).register_forward_hook(
            lambda _module, _inputs, output, target=target: met.update({target: output})
        )
    logit = model(pictures(1).requires_grad_())[0, 0]
    assert set(met) == set(tokens.targets)
    for target, output in met.items():
        batch, _, height, width = tokens.to_nchw(output).shape
        assert batch == 1
        assert (height > width) == (HEIGHT > WIDTH), target
    (gradient,) = torch.autograd.grad(logit, met[tokens.default_target])
    assert tokens.to_nchw(gradient).abs().max() > 0
