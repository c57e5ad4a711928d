"""PlainMamba: the authors' numbers, its walks, its two departures, the manners of a timm model."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F

from mambaout import with_mixing
from mambaout.models import token_grid
from mambaout.models.checkpoints import load_checkpoint
from mambaout.models.plain_mamba import PlainMamba, checkpoint_filter_fn
from mambaout.models.plain_mamba_mixer import PlainMambaMixer, serpentine
from mambaout.models.position import resize_grid
from mambaout.ops import plain_selective_scan
from tests.models.causality import redrawn
from tests.models.citizen import check_features, check_head, check_learning
from tests.models.golden import load_golden, relative_error, weights

SMALL = {"img_size": 64, "embed_dim": 16, "depth": 3, "depthwise_layers": (0,), "num_classes": 3}
PATHS = ("rows", "rows_flip", "columns", "columns_flip")


def recorded():
    """The model of the golden file with its weights, and the file."""
    meta, tensors = load_golden("plainmamba_mini")
    backbone = meta["config"]["backbone"]
    mamba = backbone["layer_cfgs"]["mamba_cfg"]
    model = PlainMamba(
        img_size=backbone["img_size"],
        num_classes=meta["config"]["num_classes"],
        embed_dim=backbone["embed_dims"],
        depth=backbone["num_layers"],
        d_state=mamba["d_state"],
        expand=mamba["expand"],
        num_convs=backbone["num_convs_patch_embed"],
        depthwise_layers=backbone["layers_with_dwconv"],
    ).eval()
    load_checkpoint(model, weights(meta, tensors))
    return model, meta, tensors


@torch.no_grad()
def test_gives_the_authors_numbers():
    model, meta, tensors = recorded()
    got = {}

    def note(name):
        def hook(_module, _inputs, output):
            got[name] = output.flatten(1, 2)

        return hook

    model.patch_embed.register_forward_hook(note("patch_embed"))
    for i, block in enumerate(model.layers):
        block.mamba.register_forward_hook(note(f"block.{i:02d}.mixer_out"))
        block.register_forward_hook(note(f"block.{i:02d}.out"))
    model.layers[0].norm.register_forward_pre_hook(
        lambda _module, inputs: got.update(tokens=inputs[0].flatten(1, 2))
    )
    normed = model.forward_features(tensors["in.image"])
    got["final_norm"] = normed.flatten(1, 2)
    got["features"] = model.forward_head(normed, pre_logits=True)
    got["logits"] = model.forward_head(normed)
    assert set(got) == set(meta["outputs"])
    for output, tolerance in meta["tolerances"].items():
        assert relative_error(got[output], tensors[f"out.{output}"]) <= tolerance, output


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [
        ("plainmamba_l1", 7_551_656, 361),
        ("plainmamba_l2", 26_145_832, 361),
        ("plainmamba_l3", 50_956_456, 529),
    ],
)
def test_sizes_are_the_authors(name, parameters, tensors):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == tensors


class TestSerpentine:
    @pytest.mark.parametrize("height", [1, 3, 4])
    @pytest.mark.parametrize("width", [1, 2, 5])
    @pytest.mark.parametrize("path", PATHS)
    def test_visits_every_token_once_and_steps_to_neighbours(self, path, height, width):
        walk, moves = serpentine(path, height, width)
        assert sorted(walk.order.tolist()) == list(range(height * width))
        rows, columns = walk.order // width, walk.order % width
        steps = torch.stack([rows.diff(), columns.diff()], dim=1)
        assert (steps.abs().sum(1) == 1).all()
        by_move = {1: [0, 1], 2: [0, -1], 3: [-1, 0], 4: [1, 0]}
        assert moves[0] == 0
        assert [by_move[m] for m in moves[1:].tolist()] == steps.tolist()
        tokens = torch.randn(2, height * width, 3)
        assert torch.equal(walk.back(walk.along(tokens)), tokens)

    def test_where_the_walks_start(self):
        assert serpentine("rows", 3, 4)[0].order.tolist() == [0, 1, 2, 3, 7, 6, 5, 4, 8, 9, 10, 11]
        assert serpentine("rows_flip", 3, 4)[0].order[:2].tolist() == [11, 10]
        assert serpentine("columns", 3, 4)[0].order[:4].tolist() == [0, 4, 8, 9]
        assert serpentine("columns_flip", 3, 4)[0].order[:2].tolist() == [3, 7]


@torch.no_grad()
def test_only_the_input_follows_the_path():
    """Each path's results are those of a scan over reordered input and unordered Δ, B and C."""
    mixer = redrawn(PlainMambaMixer(16))
    x = torch.randn(2, 3, 4, 16)
    inner, gate = mixer.in_proj(x).chunk(2, dim=-1)
    u = F.silu(mixer.conv2d(inner.permute(0, 3, 1, 2))).flatten(2)
    rank, n = mixer.dt_rank, mixer.d_state
    step, B, C = mixer.x_proj(u.mT).split([rank, n, n], dim=-1)
    delta = F.softplus(mixer.dt_proj(step) + mixer.dt_proj.bias).mT  # the bias a second time
    y = torch.zeros_like(u)
    paths = mixer.scan_inputs(x)
    assert [inputs.path for inputs in paths] == list(PATHS)
    for inputs in paths:
        walk, moves = serpentine(inputs.path, 3, 4)
        assert torch.equal(inputs.order, walk.order)
        torch.testing.assert_close(inputs.u, u[..., walk.order])
        torch.testing.assert_close(inputs.delta, delta)
        torch.testing.assert_close(inputs.B, (B + mixer.direction_Bs[moves]).mT)
        torch.testing.assert_close(inputs.C, C.mT)
        torch.testing.assert_close(inputs.z, gate.flatten(1, 2).mT[..., walk.order])
        y[..., walk.order] += plain_selective_scan(
            inputs.u, inputs.delta, inputs.A, inputs.B, inputs.C, inputs.D
        )
    expected = mixer.out_proj(y.mT.unflatten(1, (3, 4)) * F.silu(gate))
    torch.testing.assert_close(mixer(x), expected, rtol=1e-4, atol=1e-4)


def test_has_no_causal_form():
    model = PlainMamba(**SMALL)
    with pytest.raises(TypeError, match="no path is causal, not even in its own order"):
        with_mixing(model, "causal")


@torch.no_grad()
def test_pictures_of_any_size():
    """What the patches do not cover is filled up with zeros, below and to the right."""
    model, _, _ = recorded()
    image = torch.randn(1, 3, 50, 100)
    assert model.forward_features(image).shape == (1, 4, 7, 48)
    embed = model.patch_embed
    halved = embed.convs(embed.stem(image))  # 25 x 50
    patch = torch.nn.functional.pad(halved[..., 24:, 48:], (0, 6, 0, 7))
    corner = embed.projection(patch)[0, :, 0, 0]
    torch.testing.assert_close(embed(image)[0, -1, -1], corner)


@torch.no_grad()
def test_positions_for_another_grid_are_the_same_in_the_file_and_on_the_fly():
    small, _, _ = recorded()
    config = {"num_classes": 10, "embed_dim": 48, "depth": 4, "depthwise_layers": (0,)}
    large = PlainMamba(img_size=96, **config).eval()
    large.load_state_dict(checkpoint_filter_fn(small.state_dict(), large))
    image = torch.randn(1, 3, 96, 96)
    assert torch.equal(large(image), small(image))
    # The authors do not smooth them first, which would take another kernel.
    smoothed = resize_grid(small.pos_embed, (4, 4), (6, 6))
    assert (large.pos_embed - smoothed).abs().max() > 1e-2


@torch.no_grad()
def test_targets_are_maps():
    model = PlainMamba(**SMALL).eval()
    tokens = token_grid(model)
    got = []
    model.get_submodule(tokens.default_target).register_forward_hook(
        lambda _m, _x, y: got.append(tokens.to_nchw(y))
    )
    model(torch.randn(1, 3, 64, 64))
    assert got[0].shape == (1, 16, 4, 4)


def test_is_a_citizen_of_timm():
    image = torch.randn(2, 3, 64, 64)
    check_features("plainmamba_l1", image, lambda x: x.permute(0, 3, 1, 2), **SMALL)
    check_head(PlainMamba(**SMALL), image)
    check_learning(PlainMamba(**SMALL, drop_path_rate=0.1), image, "layers.1.mamba")


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match='global_pool must be "avg" or "", got \'token\''):
        PlainMamba(**SMALL, global_pool="token")
    with pytest.raises(ValueError, match='output_fmt must be "NCHW" or "NHWC", got \'NLC\''):
        PlainMamba(**SMALL).forward_intermediates(torch.randn(1, 3, 64, 64), output_fmt="NLC")
