"""Class activation maps against formulas without hooks, and against places known beforehand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import pytorch_grad_cam
import timm
import torch
import torch.nn.functional as F
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import FinerWeightedTarget
from torch import nn

from mambaout import with_mixing
from mambaout.errors import ExplanationError
from mambaout.explain import grad_cam
from mambaout.explain.cam_methods import METHODS
from mambaout.models import token_grid
from tests.explain.guests import FAMILIES, SIZE, busy_model, left_as_found, picture
from tests.explain.guests import small_mambaout as mambaout
from tests.explain.guests import small_vim as vim
from tests.models.causality import redrawn


def tokens_and_gradients(model, image, block, ask):
    """What the tokens of a target hold, and the gradient of ``ask(logits)`` there, (h, w, c).

    No hooks.
    """
    if hasattr(model, "stages"):
        x = model.stages[: block + 1](model.stem(image))
        here = x.detach().requires_grad_()
        logits = model.forward_head(model.stages[block + 1 :](here))
        (gradient,) = torch.autograd.grad(ask(logits[0]), here)
        return here[0].detach(), gradient[0]
    x, (height, width) = model._tokens(image)
    for layer in model.layers[:block]:
        x = layer(x)
    here = model.layers[block].norm(x).detach().requires_grad_()
    y = x + model.layers[block].mixer(here)
    for layer in model.layers[block + 1 :]:
        y = layer(y)
    logits = model.forward_head(model.norm_f(y))
    (gradient,) = torch.autograd.grad(ask(logits[0]), here)
    patches = [i for i in range(height * width + 1) if i != model.class_token_index]
    return (t[0, patches].detach().view(height, width, -1) for t in (here, gradient))


def expected_map(method, a, g):
    """The papers' formulas on activations and gradients (h, w, c)."""
    if method in {"gradcam", "finercam"}:
        return (g.mean((0, 1)) * a).sum(-1).relu()
    if method == "hirescam":
        return (g * a).sum(-1)
    if method == "layercam":
        return (g.relu() * a).sum(-1).relu()
    if method == "gradcam++":
        # The package adds 1e-6, against a division by zero that does not happen here.
        alpha = g**2 / (2 * g**2 + a.sum((0, 1)) * g**3 + 1e-6)
        return ((alpha * g.relu()).sum((0, 1)) * a).sum(-1).relu()
    flat = (a - a.mean((0, 1))).flatten(0, 1)
    direction = torch.linalg.eigh(flat.T @ flat).eigenvectors[:, -1]
    values = (flat @ direction).view(a.shape[:2])
    return values * values.flatten()[values.abs().argmax()].sign()


def rival_of(model, class_index):
    logits = model(picture())[0]
    logits[class_index] = -torch.inf
    return logits.argmax().item()


@pytest.mark.parametrize("method", [m for m in METHODS if m != "scorecam"])
@pytest.mark.parametrize(("family", "block"), [("mambaout", 1), ("vim", 2), ("vim", 0)])
def test_the_map_is_that_of_the_formula(family, block, method):
    model = redrawn(FAMILIES[family]())
    layer = token_grid(model).targets[block]
    rival = rival_of(model, 3) if method == "finercam" else None
    tokens, gradients = tokens_and_gradients(
        model, picture(), block, lambda z: z[3] if rival is None else z[3] - z[rival]
    )
    expected = expected_map(method, tokens.double(), gradients.double()).numpy()
    assert expected.std() > 0.01 * abs(expected).max()

    got = grad_cam(model, picture(), 3, layer, method)
    assert got.values.shape == ((8, 12) if family == "mambaout" else (4, 6))
    assert got.values.dtype == np.float32
    assert abs(got.values - expected).max() <= 2e-6 * abs(expected).max()
    assert (got.layer, got.method) == (layer, method)
    assert got.class_index == (3 if METHODS[method].per_class else None)
    assert got.versus == rival
    assert got.signed or got.values.min() >= 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_map_is_the_package_s_before_it_is_stretched(family):
    model = redrawn(FAMILIES[family]())
    grid = token_grid(model)
    layers = [model.get_submodule(grid.default_target)]
    cam = pytorch_grad_cam.GradCAM(model, layers, reshape_transform=grid.to_nchw)
    stretched = cam(picture().requires_grad_(), None)
    cam.activations_and_grads.release()

    raw = grad_cam(model, picture()).values
    assert raw.max() not in {0, 1}
    across = scale_cam_image(raw[None], SIZE[::-1])
    np.testing.assert_allclose(scale_cam_image(across), stretched, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_a_class_the_first_choice_is_explained(family):
    model = redrawn(FAMILIES[family]())
    choice = model(picture()).argmax().item()
    got = grad_cam(model, picture())
    assert got.class_index == choice
    assert got.layer == token_grid(model).default_target
    np.testing.assert_array_equal(got.values, grad_cam(model, picture(), choice).values)


@pytest.mark.parametrize("family", FAMILIES)
def test_one_class_against_another(family):
    """To first order the difference of two logits is explained by the difference of two maps."""
    model = redrawn(FAMILIES[family]())
    apart = [grad_cam(model, picture(), k, method="hirescam").values for k in (3, 1)]
    got = grad_cam(model, picture(), 3, method="hirescam", versus=1)
    assert (got.class_index, got.versus, got.unit) == (3, 1, "Δ logit, to first order")
    expected = apart[0] - apart[1]
    np.testing.assert_allclose(got.values, expected, atol=1e-5 * abs(expected).max())
    against = grad_cam(model, picture(), 1, method="hirescam", versus=3).values
    np.testing.assert_allclose(against, -expected, atol=1e-5 * abs(expected).max())
    first = grad_cam(model, picture(), None, method="finercam")
    ranked = model(picture())[0].argsort(descending=True).tolist()
    assert [first.class_index, first.versus] == ranked[:2]
    other = grad_cam(model, picture(), None, method="hirescam", versus=ranked[0])
    assert [other.class_index, other.versus] == ranked[1::-1]


def test_a_contrast_is_the_package_s_where_the_rival_is_likely():
    model = redrawn(mambaout())
    with torch.no_grad():
        model.head.fc.weight *= 0.1
    grid = token_grid(model)
    theirs = pytorch_grad_cam.FinerCAM(
        model, [model.get_submodule(grid.default_target)], reshape_transform=grid.to_nchw
    )
    target = FinerWeightedTarget(3, [1], alpha=1)
    stretched = theirs.forward(picture().requires_grad_(), [target])
    theirs.base_cam.activations_and_grads.release()
    ours = grad_cam(model, picture(), 3, method="finercam", versus=1).values
    np.testing.assert_allclose(
        scale_cam_image(scale_cam_image(ours[None], SIZE[::-1])), stretched, atol=1e-4
    )
    # Where it is not, theirs fades away, and the difference of the logits does not.
    logits = torch.tensor([0.0, -40.0, 0.0, 1.0], dtype=torch.float64)
    assert target(logits) < 1e-6 < logits[3] - logits[1]


@pytest.mark.parametrize("family", FAMILIES)
def test_score_cam_is_the_package_s_when_no_channel_is_left_out(family, capsys):
    model = redrawn(FAMILIES[family]())
    grid = token_grid(model)
    layers = [model.get_submodule(grid.default_target)]
    theirs = pytorch_grad_cam.ScoreCAM(model, layers, reshape_transform=grid.to_nchw)
    stretched = theirs(picture(), [lambda logits: logits[2]])
    theirs.activations_and_grads.release()
    assert capsys.readouterr().err  # their progress bar

    steps = []
    got = grad_cam(
        model, picture(), 2, method="scorecam", progress=lambda *step: steps.append(step)
    )
    assert not capsys.readouterr().err
    across = scale_cam_image(got.values[None], SIZE[::-1])
    np.testing.assert_allclose(scale_cam_image(across), stretched, atol=1e-4)
    channels = 24 if family == "mambaout" else 32
    assert steps[-1] == (channels, channels)
    assert "Tried" not in got.caveat


def test_score_cam_tries_the_channels_that_vary_most():
    model = redrawn(mambaout())
    some = grad_cam(model, picture(), 2, method="scorecam", max_masks=5)
    assert "Tried were 5 of 24 channels" in some.caveat
    with torch.no_grad():
        maps = model.stages[1](model.stages[0](model.stem(picture())))[0].permute(2, 0, 1)
        kept = maps.flatten(1).std(1).topk(5).indices
        masks = F.interpolate(maps[kept, None], SIZE, mode="bilinear", align_corners=True)
        least, most = masks.amin((2, 3), keepdim=True), masks.amax((2, 3), keepdim=True)
        scores = model(picture() * (masks - least) / (most - least))[:, 2]
        expected = torch.einsum("k,khw->hw", scores.softmax(0), maps[kept]).relu()
    assert expected.max() > 0
    np.testing.assert_allclose(some.values, expected, atol=1e-4 * expected.max())


def test_score_cam_can_be_stopped():
    class Stopped(Exception):
        pass

    def stop(done, total):
        raise Stopped

    model = busy_model("vim")
    with left_as_found(model, Stopped):
        grad_cam(model, picture(), 1, method="scorecam", progress=stop)


class PooledLinear(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.fc = nn.Linear(features, classes)

    def forward(self, x):
        return self.fc(x.mean((1, 2)))


def test_under_a_linear_head_the_map_adds_up_to_the_logit():
    """Draelos & Carin 2020, and Grad-CAM is the same then, as they show."""
    model = redrawn(mambaout())
    model.head = redrawn(PooledLinear(32, 5))
    logit = model(picture())[0, 2].item()
    evidence = grad_cam(model, picture(), 2, "stages.2", "hirescam").values
    assert evidence.min() < 0 < evidence.max()
    assert evidence.sum() + model.head.fc.bias[2].item() == pytest.approx(logit, rel=1e-5)

    rectified = grad_cam(model, picture(), 2, "stages.2", "gradcam").values
    np.testing.assert_allclose(rectified, evidence.clip(0), atol=1e-7)


def positive_places(model, image, class_index):
    try:
        values = grad_cam(model, image, class_index).values
    except ExplanationError as error:
        return str(error)
    return list(zip(*values.nonzero(), strict=True))


@pytest.mark.parametrize("place", [(0, 0), (1, 4), (2, 1), (3, 5)])
def test_a_vim_map_is_at_the_patch_that_is_there(place):
    """One patch on black. Nothing else has an embedding; the class token stands in the middle."""
    model = vim(depth=1, num_classes=2).eval()
    with torch.no_grad():
        model.pos_embed.zero_()
        model.patch_embed.proj.bias.zero_()
        model.head.weight[1] = -model.head.weight[0]
    row, column = place
    image = torch.zeros(1, 3, *SIZE)
    image[..., 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 1

    evidence = [grad_cam(model, image, k, method="hirescam").values for k in range(2)]
    assert list(zip(*evidence[0].nonzero(), strict=True)) == [place]
    np.testing.assert_array_equal(evidence[0], -evidence[1])
    # Rectified, one of two opposite classes has its evidence there, and the other has none.
    answers = [positive_places(model, image, k) for k in range(2)]
    assert [place] in answers
    assert f"against class {answers.index([place]) ^ 1}; hirescam shows" in "".join(
        map(str, answers)
    )


@pytest.mark.parametrize("place", [(0, 0), (1, 9), (6, 2), (7, 11)])
def test_a_mambaout_map_is_at_the_token_that_is_there(place):
    """One pixel on black, seen by one token only; without biases black stays zero."""
    model = mambaout().eval()
    row, column = place
    image = torch.zeros(1, 3, *SIZE)
    image[..., 8 * row, 8 * column] = 1
    got = grad_cam(model, image, 0, "stages.1", "hirescam").values
    assert list(zip(*got.nonzero(), strict=True)) == [place]


def test_a_causal_vim_has_no_evidence_after_its_class_token():
    model = redrawn(vim())
    middle = (2, 0)  # 12 of 24 patches before the class token: rows 0 and 1
    both = grad_cam(model, picture(), 1, method="hirescam").values
    causal = grad_cam(with_mixing(model, "causal"), picture(), 1, method="hirescam").values
    assert both[: middle[0]].all()
    assert both[middle[0] :].all()
    assert causal[: middle[0]].all()
    assert not causal[middle[0] :].any()


def test_threads_on_one_model_do_not_disturb_each_other():
    models = [redrawn(make()) for make in FAMILIES.values()]
    tasks = [
        (model, seed, method)
        for seed in range(4)
        for model in models
        for method in ("gradcam", "hirescam")
    ]

    def explain(task):
        model, seed, method = task
        return grad_cam(model, picture(seed), seed, method=method).values

    serial = [explain(task) for task in tasks]
    assert not np.array_equal(serial[0], serial[4])
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for alone, together in zip(serial, pool.map(explain, tasks), strict=True):
                np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
def test_the_model_is_left_as_it_was_found(family, method):
    model = busy_model(family)
    image = picture().requires_grad_()
    with left_as_found(model):
        grad_cam(model, image, 1, method=method)
    assert image.grad is None


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_is_left_as_it_was_found_after_an_error(family):
    model = busy_model(family)
    with left_as_found(model, ExplanationError):
        grad_cam(model, picture(), 99)
    with left_as_found(model, RuntimeError):  # torch's, from the middle of the forward pass
        grad_cam(model, picture()[:, :2], 1)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_caller_may_have_switched_gradients_off(family, around):
    model = redrawn(FAMILIES[family]())
    expected = grad_cam(model, picture(), 1).values
    with around():
        got = grad_cam(model, picture(), 1).values
    np.testing.assert_array_equal(got, expected)


def test_half_precision_gives_nearly_the_same_map():
    model = redrawn(mambaout())
    expected = grad_cam(model, picture(), 1, method="hirescam").values
    got = grad_cam(model.bfloat16(), picture().bfloat16(), 1, method="hirescam").values
    assert got.dtype == np.float32
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"method": "guesscam"}, "method must be one of gradcam, .*got 'guesscam'"),
        ({"layer": "stages.9"}, r"layer must be one of stages\.0, .*got 'stages\.9'"),
        ({"class_index": 5}, "class_index must be 0 to 4, got 5"),
        ({"class_index": -1}, "class_index must be 0 to 4, got -1"),
        ({"versus": 5}, "versus must be 0 to 4, got 5"),
        ({"versus": 1}, "versus must be another class than the one explained"),
        ({"versus": 2, "method": "eigencam"}, "EigenCAM is the same for every class"),
        ({"max_masks": 0, "method": "scorecam"}, "max_masks must be at least 1, got 0"),
        ({"image": torch.zeros(2, 3, *SIZE)}, r"one picture \(1, c, H, W\), got shape \(2, 3,"),
        ({"image": torch.full((1, 3, *SIZE), torch.nan)}, "the picture holds values"),
        (
            {"model": timm.create_model("test_resnet")},
            "ResNet has not said where it keeps its tokens",
        ),
        (
            {"model": vim(dynamic_img_size=True), "image": torch.zeros(1, 3, 64, 64)},
            "expected 4x6 patches and a class token, got 17 tokens",
        ),
    ],
)
def test_what_cannot_be_explained_is_said(change, words):
    arguments = {"model": mambaout(), "image": picture(), "class_index": 1, "layer": None}
    with pytest.raises(ExplanationError, match=words):
        grad_cam(**arguments | {"method": "gradcam"} | change)


def test_a_model_without_a_classifier_is_refused():
    model = mambaout()
    model.reset_classifier(0)
    with pytest.raises(ExplanationError, match="MambaOut has no classifier"):
        grad_cam(model, picture())


@pytest.mark.parametrize(
    ("spoil", "method", "words"),
    [
        (lambda m: m.head.fc.weight.zero_(), "gradcam", "zero everywhere: no place of this layer"),
        (lambda m: m.head.fc.weight.fill_(torch.nan), "gradcam", "not a number: check the model's"),
        (lambda m: m.head.fc.weight.fill_(torch.inf), "hirescam", "infinite or not a number"),
        (
            lambda m: m.stem.norm2.weight.zero_(),
            "eigencam",
            "all places of this layer are the same",
        ),
    ],
)
def test_a_map_that_shows_nothing_is_an_error_with_its_reason(spoil, method, words):
    model = mambaout().eval()
    grad_cam(model, picture(), 1, method=method)
    with torch.no_grad():
        spoil(model)
    with pytest.raises(ExplanationError, match=words):
        grad_cam(model, picture(), 1, method=method)
