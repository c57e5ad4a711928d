"""Scan traces against the recurrence, its limits, and tokens whose place is known beforehand."""

from __future__ import annotations

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import timm
import torch
from timm.models.mambaout import MambaOut

from mambaout import with_mixing
from mambaout.errors import ExplanationError
from mambaout.explain import PathTrace, scan_layers, scan_trace, why_no_scan
from mambaout.models.vmamba import VMamba
from mambaout.ops import scan_states, state_components
from tests.explain.guests import SIZE, busy_model, left_as_found, picture
from tests.explain.guests import small_mambaout as mambaout
from tests.explain.guests import small_vim as vim
from tests.models.causality import redrawn
from tests.ops.test_hidden_attention import LargestArray

QUANTITIES = ("delta", "retention", "half_life", "state_norm", "write", "read", "gate")


def follow(inputs):
    """The quantities from their definitions, one token after another, in float64."""
    u, delta, A, B, C, z = (
        t.double().numpy()
        for t in (inputs.u[0], inputs.delta[0], inputs.A, inputs.B[0], inputs.C[0], inputs.z[0])
    )
    h = np.zeros(A.shape)
    rows = []
    for t in range(u.shape[1]):
        decay = np.exp(delta[:, t, None] * A)
        written = delta[:, t, None] * B[None, :, t] * u[:, t, None]
        h = decay * h + written
        rows.append(
            (
                delta[:, t].mean(),
                decay.mean(),
                math.log(2) / (delta[:, t, None] * abs(A)).mean(),
                np.linalg.norm(h),
                np.linalg.norm(written),
                np.linalg.norm(h @ C[:, t]),
                abs(z[:, t] / (1 + np.exp(-z[:, t]))).mean(),
            )
        )
    return dict(zip(QUANTITIES, np.array(rows).T, strict=True))


def scans_of(model, image):
    """(layer, ScanInputs) of every path, by a forward pass without hooks."""
    x, _ = model._tokens(image)
    for i, block in enumerate(model.layers):
        for inputs in block.mixer.scan_inputs(block.norm(x)):
            yield f"layers.{i}.mixer", inputs
        x = block(x)


@pytest.mark.parametrize("class_token", ["middle", None])
def test_the_trace_is_that_of_the_recurrence(class_token):
    model = redrawn(vim(class_token=class_token))
    trace = scan_trace(model, picture())
    assert len(trace) == 2 * 3
    for got, (layer, inputs) in zip(trace, scans_of(model, picture()), strict=True):
        assert (got.layer, got.path) == (layer, inputs.path)
        assert got.layer_index == int(layer.split(".")[1])
        np.testing.assert_array_equal(got.order, inputs.order)
        for quantity, expected in follow(inputs).items():
            values = getattr(got, quantity)
            assert values.dtype == np.float32
            assert expected.std() > 1e-3 * expected.mean()
            np.testing.assert_allclose(values, expected, rtol=2e-5, err_msg=quantity)


def test_the_last_state_holds_what_was_written_and_not_forgotten():
    """Unrolled, eq. 2a is h_L = Σ_s exp(A Σ_{k>s} Δ_k) Δ_s B_s u_s."""
    model = redrawn(vim())
    trace = scan_trace(model, picture())
    for got, (_, inputs) in zip(trace, scans_of(model, picture()), strict=True):
        u, delta, A, B = (t.double() for t in (inputs.u, inputs.delta, inputs.A, inputs.B))
        after = delta.flip(2).cumsum(2).flip(2) - delta
        kept = torch.exp(torch.einsum("bdl,dn->bdln", after, A))
        last = torch.einsum("bdln,bdl,bnl,bdl->dn", kept, delta, B, u)
        assert got.state_norm[-1] == pytest.approx(last.norm().item(), rel=1e-5)
        assert got.state_norm[0] == pytest.approx(got.write[0], rel=1e-5)  # h_{-1} = 0


def with_step(model, bias):
    """The same Δ = softplus(bias) at every token."""
    with torch.no_grad():
        for block in model.layers:
            for proj in (block.mixer.dt_proj, block.mixer.dt_proj_b):
                proj.weight.zero_()
                proj.bias.fill_(bias)
    return model


def test_a_step_of_zero_keeps_all_and_writes_nothing():
    for got in scan_trace(with_step(redrawn(vim()), -200), picture()):
        assert not any(getattr(got, q).any() for q in ("delta", "state_norm", "write", "read"))
        assert (got.retention == 1).all()
        assert np.isinf(got.half_life).all()


def test_a_long_step_forgets_all_but_what_it_writes():
    for got in scan_trace(with_step(vim().eval(), 200), picture()):
        assert (got.retention < 1e-30).all()
        assert got.write.min() > 0
        np.testing.assert_allclose(got.state_norm, got.write, rtol=1e-5)


def test_after_a_half_life_half_is_left():
    """With one rate for all channels and states, retention = 2^(-1 / half-life)."""
    model = with_step(vim().eval(), -1.0)
    with torch.no_grad():
        for block in model.layers:
            block.mixer.A_log.fill_(-0.5)
            block.mixer.A_b_log.fill_(-0.5)
    step, rate = math.log1p(math.exp(-1.0)), math.exp(-0.5)
    for got in scan_trace(model, picture()):
        np.testing.assert_allclose(got.delta, step, rtol=1e-6)
        np.testing.assert_allclose(got.half_life, math.log(2) / (step * rate), rtol=1e-6)
        np.testing.assert_allclose(got.retention, 0.5 ** (1 / got.half_life), rtol=1e-6)


def only_the_current_token_speaks(model):
    """No position, bias, class token or neighbour: a mixer's input is what its patch shows."""
    with torch.no_grad():
        for p in (model.pos_embed, model.patch_embed.proj.bias, model.cls_token):
            p.zero_()
        for conv in (model.layers[0].mixer.conv1d, model.layers[0].mixer.conv1d_b):
            conv.bias.zero_()
            conv.weight[..., :-1] = 0
    return model


@pytest.mark.parametrize("place", [(0, 0), (1, 4), (2, 1), (3, 5)])
def test_a_patch_is_found_where_it_is(place):
    model = only_the_current_token_speaks(vim(depth=1).eval())
    row, column = place
    image = torch.zeros(1, 3, *SIZE)
    image[..., 16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 1
    trace = scan_trace(model, image)
    assert [t.path for t in trace] == ["forward", "backward"]
    index = 6 * row + column
    for got, before in zip(trace, (index, 23 - index), strict=True):
        assert list(zip(*got.on_grid("write").nonzero(), strict=True)) == [place]
        assert got.class_token("write") == 0
        # Nothing before the patch in scan order; from there on the state fades, the class token
        # being one more step.
        state = got.on_grid("state_norm").ravel()[:: 1 if got.path == "forward" else -1]
        assert not state[:before].any()
        assert (np.diff(state[before:]) < 0).all()


def test_the_class_token_is_no_patch():
    model = only_the_current_token_speaks(vim(depth=1).eval())
    torch.nn.init.ones_(model.cls_token)
    for got in scan_trace(model, torch.zeros(1, 3, *SIZE)):
        assert not got.on_grid("write").any()
        assert got.class_token("write") > 0
        assert got.write[list(got.order).index(12)] == got.class_token("write")


def test_without_a_class_token_every_token_is_a_patch():
    for got in scan_trace(redrawn(vim(class_token=None)), picture()):
        assert got.class_token("delta") is None
        np.testing.assert_array_equal(got.on_grid("delta").ravel()[got.order], got.delta)


def test_a_causal_view_has_its_forward_paths_only():
    model = redrawn(vim())
    both = scan_trace(model, picture())
    causal = scan_trace(with_mixing(model, "causal"), picture())
    assert [(t.layer_index, t.path) for t in causal] == [(i, "forward") for i in range(3)]
    # Before the first mixer nothing differs, after it all does.
    np.testing.assert_array_equal(causal[0].state_norm, both[0].state_norm)
    assert not np.allclose(causal[1].state_norm, both[2].state_norm)


def test_paths_that_skip_tokens_or_fill_up_windows_fit_on_the_grid():
    """Four steps on 2 x 3 patches behind a class token; position 7 is at no token."""
    four = np.arange(1, 5, dtype=np.float32)
    got = PathTrace(
        "mixer", 0, "corner", np.array([5, 7, 0, 2]), (2, 3), 0, *(four * 10**i for i in range(6))
    )
    expected = [[np.nan, 4, np.nan], [np.nan, 1, np.nan]]
    np.testing.assert_array_equal(got.on_grid("delta"), expected)
    assert got.class_token("delta") == 3
    with pytest.raises(ValueError, match=r"quantity must be one of delta, .*got 'gamma'"):
        got.on_grid("gamma")


def test_every_quantity_has_a_unit():
    arrays = {f.name for f in dataclasses.fields(PathTrace) if "np.ndarray" in f.type}
    assert set(PathTrace.units) == arrays - {"order"} == set(QUANTITIES)


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("vmamba_atto", 4),
        ("efficientvmamba_tiny", 4),
        ("localvmamba_tiny", 4),
        ("mambavision_tiny", 1),
    ],
)
def test_families_on_maps_are_traced_on_the_grid_of_each_layer(name, paths):
    model = timm.create_model(name, num_classes=5).eval()
    trace = scan_trace(model, torch.randn(1, 3, 64, 64))
    for index in range(trace[-1].layer_index + 1):
        layer = [t for t in trace if t.layer_index == index]
        assert len(layer) % paths == 0
        maps = np.stack([t.on_grid("state_norm") for t in layer])
        assert maps.shape[1:] == layer[0].grid
        assert np.nanmin(maps) >= 0
        assert np.isfinite(maps).any(axis=0).all()  # every token is on some path


def test_some_layers_and_paths_are_those_of_the_whole_trace():
    model = redrawn(vim())
    whole = scan_trace(model, picture())
    assert scan_layers(model) == tuple(f"layers.{i}.mixer" for i in range(3))
    (got,) = scan_trace(model, picture(), layers=["layers.1.mixer"], paths=["backward"])
    assert (got.layer_index, got.path) == (1, "backward")
    np.testing.assert_array_equal(got.state_norm, whole[3].state_norm)
    both = scan_trace(model, picture(), layers=scan_layers(model)[::2])
    assert [t.layer_index for t in both] == [0, 0, 2, 2]


def test_nothing_runs_after_the_last_layer_that_was_asked_for():
    model = redrawn(vim())
    ran = []
    for block in model.layers:  # a view takes the hooks along
        block.register_forward_hook(lambda block, *_: ran.append(block))
    scan_trace(model, picture())
    assert len(ran) == 3
    ran.clear()
    scan_trace(model, picture(), layers=["layers.1.mixer"])
    assert len(ran) == 1


@pytest.mark.parametrize("name", ["vim_atto", "vmamba_atto", "localvim_tiny", "mambavision_tiny"])
@torch.no_grad()
def test_projections_are_computed_once(name):
    """The trace asks for them, the forward pass takes them over, and answers the same."""
    model = redrawn(timm.create_model(name, num_classes=5))
    size = 224 if name == "localvim_tiny" else 64
    image = torch.randn(1, 3, size, size)
    projected, logits = [], []
    for layer in scan_layers(model):
        projection = model.get_submodule(layer).in_proj  # a view takes the hooks along
        projection.register_forward_hook(lambda *_: projected.append(1))
    model.register_forward_hook(lambda _m, _x, answer: logits.append(answer))
    alone = model(image)
    assert len(projected) == len(scan_layers(model))
    scan_trace(model, image)
    assert len(projected) == 2 * len(scan_layers(model))
    assert torch.equal(logits[-1], alone)


def test_a_single_channel_is_a_scan_of_its_own():
    model = redrawn(vim())
    (_, inputs) = next(scans_of(model, picture()))
    trace = scan_trace(model, picture(), layers=["layers.0.mixer"], channels=[5, 40])[0]
    assert trace.channel is None
    assert [t.channel for t in trace.channels] == [5, 40]
    for got in trace.channels:
        only = slice(got.channel, got.channel + 1)
        alone = dataclasses.replace(
            inputs,
            u=inputs.u[:, only],
            delta=inputs.delta[:, only],
            A=inputs.A[only],
            z=inputs.z[:, only],
        )
        assert (got.layer, got.path) == (trace.layer, trace.path)
        for quantity, expected in follow(alone).items():
            np.testing.assert_allclose(getattr(got, quantity), expected, rtol=1e-4, atol=1e-7)
    # All channels together: means of steps, lengths of states.
    every = scan_trace(model, picture(), layers=["layers.0.mixer"], channels=range(64))[0]
    singles = every.channels
    np.testing.assert_allclose(np.mean([t.delta for t in singles], 0), every.delta, rtol=1e-5)
    length = np.sqrt(np.sum([t.state_norm**2 for t in singles], 0))
    np.testing.assert_allclose(length, every.state_norm, rtol=1e-5)


def test_components_are_those_of_all_states():
    model = redrawn(vim())
    assert scan_trace(model, picture())[0].components is None
    trace = scan_trace(model, picture(), components=True)
    for got, (_, inputs) in zip(trace, scans_of(model, picture()), strict=True):
        h = scan_states(*(t.double() for t in (inputs.u, inputs.delta, inputs.A, inputs.B)))
        h = h[0].transpose(0, 1).flatten(1).numpy()
        u, s, _ = np.linalg.svd(h - h.mean(0), full_matrices=False)
        scores = got.components.scores
        assert scores.shape == (25, 3)
        np.testing.assert_allclose(got.components.explained, s[:3] ** 2 / (s**2).sum(), rtol=1e-3)
        np.testing.assert_allclose(abs(scores), abs(u[:, :3] * s[:3]), atol=1e-3 * s[0])
        assert (scores.max(0) == abs(scores).max(0)).all()  # the sign that was promised
        maps = got.components_on_grid()
        assert maps.shape == (4, 6, 3)
        position = 9  # before the class token
        (step,) = np.nonzero(got.order == position)
        np.testing.assert_array_equal(maps[1, 3], scores[step[0]])
    with pytest.raises(ValueError, match="components=True"):
        scan_trace(model, picture())[0].components_on_grid()


def test_memory_grows_with_tokens_and_not_with_states(monkeypatch):
    """33 x 33 tokens, 160 channels, 16 states: those of one path would take 11 MB."""
    monkeypatch.setattr(state_components, "_BLOCK", 2**20)
    model = redrawn(VMamba(depths=(1, 1), dims=(16, 16), d_state=16, ssm_ratio=10.0))
    image = torch.randn(1, 3, 132, 132)
    with torch.no_grad(), LargestArray() as forward:
        model(image)
    with LargestArray() as largest:
        scan_trace(model, image)
    assert forward.nbytes <= largest.nbytes <= 2 * forward.nbytes
    states = 4 * 33 * 33 * 160 * 16
    with LargestArray() as largest:
        (got,) = scan_trace(
            model, image, layers=scan_layers(model)[:1], paths=["column"], components=True
        )
    assert largest.nbytes <= max(4 * 2**20, 2 * forward.nbytes) < states
    assert got.components.explained.min() > 0


def test_a_family_without_a_gate_has_none_to_show():
    for gate in (True, False):
        model = redrawn(VMamba(depths=(1,), dims=8, d_state=2, gate=gate))
        for got in scan_trace(model, picture()):
            assert ("gate" in got.quantities) == gate
            if not gate:
                with pytest.raises(ValueError, match=r"one of delta, .*, read, got 'gate'"):
                    got.on_grid("gate")


def test_float64_is_traced_in_plain_torch():
    model = redrawn(vim())
    single = scan_trace(model, picture())
    for got, expected in zip(scan_trace(model.double(), picture().double()), single, strict=True):
        np.testing.assert_allclose(got.state_norm, expected.state_norm, rtol=1e-4)
        np.testing.assert_allclose(got.read, expected.read, rtol=1e-4)


def test_threads_on_one_model_do_not_disturb_each_other():
    model = redrawn(vim())

    def norms(seed):
        return np.stack([t.state_norm for t in scan_trace(model, picture(seed))])

    serial = [norms(seed) for seed in range(8)]
    assert not np.array_equal(serial[0], serial[1])
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            for alone, together in zip(serial, pool.map(norms, range(8)), strict=True):
                np.testing.assert_array_equal(alone, together)


def test_the_model_is_left_as_it_was_found():
    model = busy_model("vim")
    with left_as_found(model):
        scan_trace(model, picture())
    with left_as_found(model, RuntimeError):  # torch's, from the middle of the forward pass
        scan_trace(model, picture()[:, :2])


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (mambaout(), "MambaOut has no scan: its tokens mix through a 7x7 depthwise convolution"),
        (
            MambaOut(depths=(1,), dims=(16,), kernel_size=5),
            "MambaOut has no scan: its tokens mix through a 5x5 depthwise convolution",
        ),
        (timm.create_model("test_vit"), "VisionTransformer has no scan: .* self-attention"),
        (timm.create_model("efficientvim_m1"), "EfficientViM has no scan: .* weighted sums"),
        (timm.create_model("test_resnet"), "ResNet has no scan: none of its layers hands a state"),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_why_there_is_nothing_to_trace(model, words):
    with pytest.raises(ExplanationError, match=f"^{words}") as error:
        scan_trace(model, picture())
    assert str(error.value) == why_no_scan(model)


def test_a_model_with_a_scan_has_no_excuse():
    assert why_no_scan(vim()) is None
    assert why_no_scan(with_mixing(vim(), "causal")) is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"layers": ["layers.9.mixer"]}, r"layers must be some of layers\.0\.mixer, .*, got"),
        ({"layers": []}, "layers must be some of"),
        ({"paths": ["sideways"]}, r"paths must be some of backward, forward, got \['sideways'\]"),
        ({"paths": []}, "paths must be some of"),
        ({"channels": [64]}, r"channels of layers\.0\.mixer must be 0 to 63, got \[64\]"),
        ({"channels": [-1]}, "must be 0 to 63"),
    ],
)
def test_what_cannot_be_chosen_is_said(options, words):
    with pytest.raises(ExplanationError, match=words):
        scan_trace(redrawn(vim()), picture(), **options)


def test_what_cannot_be_traced_is_said():
    with pytest.raises(ExplanationError, match=r"one picture \(1, c, H, W\), got shape \(2, 3,"):
        scan_trace(vim(), torch.zeros(2, 3, *SIZE))
    with pytest.raises(ExplanationError, match="expected 4x6 patches and a class token, got 17"):
        scan_trace(vim(dynamic_img_size=True), torch.zeros(1, 3, 64, 64))
    model = vim().eval()
    with torch.no_grad():
        model.layers[1].mixer.x_proj_b.weight.fill_(torch.nan)
    with pytest.raises(ExplanationError, match=r"the backward scan of layers\.1\.mixer reaches"):
        scan_trace(model, picture())
