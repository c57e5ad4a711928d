"""LocalVim: the authors' numbers on all kinds of grids, its walks, the manners of a timm model."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F

from mambaout import with_mixing
from mambaout.models import token_grid
from mambaout.models.checkpoints import load_checkpoint
from mambaout.models.local_vim import LocalVim, checkpoint_filter_fn
from mambaout.models.local_vim_mixer import LocalVimMixer
from mambaout.models.rotary import RotaryPosition
from mambaout.ops import plain_selective_scan
from tests.models.causality import redrawn
from tests.models.citizen import check_features, check_head, check_learning
from tests.models.golden import load_golden, relative_error, weights

DIRECTIONS = (("h", "v_flip", "w2", "w7_flip"), ("h_flip", "v", "w2_flip", "w7"))
SMALL = {"img_size": 64, "embed_dim": 32, "directions": DIRECTIONS, "num_classes": 3}
GOLDEN = (
    "localvim_mini",
    "localvim_mini_midcls",
    "localvim_mini_nonsquare",
    "localvim_mini_resize",
)


def recorded(name):
    """The model a golden file describes, with its weights, and the file."""
    meta, tensors = load_golden(name)
    config = meta["config"]
    model = LocalVim(
        img_size=config["img_size"],
        patch_size=config["patch_size"],
        num_classes=config["num_classes"],
        embed_dim=config["embed_dim"],
        directions=config["directions"],
        class_token="middle" if config.get("use_middle_cls_token") else None,
    ).eval()
    tables = {name[2:]: table for name, table in tensors.items() if name.startswith("w.rope.")}
    load_checkpoint(model, weights(meta, tensors) | tables)
    return model, meta, tensors


@pytest.mark.parametrize("name", GOLDEN)
@torch.no_grad()
def test_gives_the_authors_numbers(name):
    model, meta, tensors = recorded(name)
    got = {}

    def note_input(name):
        return lambda _module, inputs: got.update({name: inputs[0]})

    def note_output(name, change=lambda y: y):
        return lambda _module, _inputs, output: got.update({name: change(output)})

    model.patch_embed.register_forward_hook(note_output("patch_embed", lambda y: y.flatten(2).mT))
    model.layers[0].register_forward_pre_hook(note_input("tokens"))
    for i, block in enumerate(model.layers):
        block.norm.register_forward_pre_hook(note_input(f"block.{i:02d}.residual"))
        block.mixer.register_forward_hook(note_output(f"block.{i:02d}.mixer_out"))
    normed = model.forward_features(tensors["in.image"])
    got["features"] = model.forward_head(normed, pre_logits=True)
    got["logits"] = model.forward_head(normed)
    assert set(got) == set(meta["outputs"])
    for output, tolerance in meta["tolerances"].items():
        assert relative_error(got[output], tensors[f"out.{output}"]) <= tolerance, output


@torch.no_grad()
def test_a_picture_does_not_see_its_neighbour_in_the_batch():
    model, meta, tensors = recorded("localvim_mini")
    alone = torch.cat([model(picture[None]) for picture in tensors["in.image"]])
    assert (alone[0] - alone[1]).abs().max() > 0.05
    assert relative_error(alone, tensors["out.logits"]) <= meta["tolerances"]["logits"]


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [
        ("localvim_tiny", 7_994_152, 748),
        ("localvim_tiny_midcls", 7_994_536, 747),
        ("localvim_small", 27_783_784, 748),
    ],
)
def test_sizes_are_the_authors(name, parameters, tensors):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == tensors
    assert [len(block.mixer.directions) for block in model.layers] == [4] * 20


def test_directions_of_the_sizes():
    tiny, midcls, small = (
        [block.mixer.directions for block in timm.create_model(name, embed_dim=16).layers]
        for name in ("localvim_tiny", "localvim_tiny_midcls", "localvim_small")
    )
    assert tiny == midcls
    assert tiny[0] == ("h", "v_flip", "w7", "w7_flip")
    assert tiny[19] == ("v", "v_flip", "w2", "w2_flip")
    assert small == [("h", "h_flip", "w2", "w2_flip")] * 20


@torch.no_grad()
def test_wrong_directions_load_and_give_other_numbers():
    """Why they must be right: nothing else would notice."""
    model, _, tensors = recorded("localvim_mini")
    order = [(3, 2, 1, 0)] * 4
    other = LocalVim(
        img_size=96,
        num_classes=10,
        embed_dim=32,
        directions=[
            [block.mixer.directions[k] for k in places]
            for block, places in zip(model.layers, order, strict=True)
        ],
    ).eval()
    load_checkpoint(other, model.state_dict())
    image = tensors["in.image"]
    assert relative_error(other(image), model(image)) > 1e-2


@torch.no_grad()
def test_directions_keep_their_own_rates_when_a_file_is_loaded():
    mixer = LocalVimMixer(16, DIRECTIONS[0], (2, 2), has_class_token=False)
    rates = {f"A_log_{k}": torch.full((32, 16), float(k)) for k in range(4)}
    mixer.load_state_dict(rates, strict=False)
    assert [getattr(mixer, f"A_log_{k}").mean().item() for k in range(4)] == [0, 1, 2, 3]


class TestScanInputs:
    @torch.no_grad()
    def test_results_put_back_and_gated_are_the_mixer(self):
        mixer = redrawn(LocalVimMixer(16, ("h", "h_flip", "w2"), (3, 4), has_class_token=False))
        x = torch.randn(2, 12, 16)
        total = 0
        for inputs in mixer.scan_inputs(x):
            y = plain_selective_scan(
                inputs.u, inputs.delta, inputs.A, inputs.B, inputs.C, inputs.D, z=inputs.z
            )
            at_token = inputs.order < 12
            raster = torch.zeros(2, 32, 12)
            raster[..., inputs.order[at_token]] = y[..., at_token]
            total += mixer.attn(raster.mT)
            assert inputs.grid == (3, 4)
        torch.testing.assert_close(mixer(x), mixer.out_proj(total), rtol=1e-4, atol=1e-4)

    @torch.no_grad()
    def test_order_says_where_each_token_came_from(self):
        mixer = redrawn(LocalVimMixer(16, DIRECTIONS[0], (3, 3), has_class_token=True, d_conv=1))
        x = torch.randn(1, 10, 16)
        token = F.pad(mixer.in_proj(x)[..., 32:], (0, 0, 0, 1))  # the gate is not convolved
        lengths = []
        for inputs in mixer.scan_inputs(x):
            assert torch.equal(inputs.z.mT, token[:, inputs.order])
            assert inputs.order[4] == 4  # the class token, at the same step of every direction
            assert set(inputs.order.tolist()) >= set(range(10))
            lengths.append(len(inputs.order))
        # The windows fill up 4 x 4 and 7 x 7 tokens; the class token comes on top.
        assert lengths == [10, 10, 17, 50]


class TestRotaryPosition:
    @torch.no_grad()
    def test_tables_are_those_in_the_authors_files(self):
        _, tensors = load_golden("localvim_mini")
        rope = RotaryPosition((6, 6), 32)
        torch.testing.assert_close(rope.freqs_cos, tensors["w.rope.freqs_cos"])
        torch.testing.assert_close(rope.freqs_sin, tensors["w.rope.freqs_sin"])

    @torch.no_grad()
    def test_a_turned_product_depends_on_the_distance_alone(self):
        rope = RotaryPosition((5, 7), 16)
        q, k = torch.randn(2, 16)
        q, k = (rope(t.expand(1, 35, 16), (5, 7)).view(5, 7, 16) for t in (q, k))
        products = [(q[r, c] * k[r + 2, c + 3]).sum() for r in range(3) for c in range(4)]
        torch.testing.assert_close(torch.stack(products), products[0].expand(12))
        assert (q[0, 0] * k[0, 1]).sum() - (q[0, 0] * k[1, 0]).sum() != 0


def test_has_no_causal_form():
    with pytest.raises(TypeError, match="reads the mean of all tokens"):
        with_mixing(LocalVim(**SMALL), "causal")


@torch.no_grad()
def test_pictures_that_patches_overhang_are_filled_up_with_zeros():
    model = LocalVim(**SMALL).eval()
    image = torch.randn(1, 3, 60, 70)
    filled = F.pad(image, (0, 10, 0, 4))
    assert torch.equal(model(image), model(filled))


@pytest.mark.parametrize("class_token", [None, "middle"])
@torch.no_grad()
def test_positions_for_another_grid_are_the_same_in_the_file_and_on_the_fly(class_token):
    small = LocalVim(**SMALL, class_token=class_token).eval()
    small.pos_embed.normal_()
    large = LocalVim(**SMALL | {"img_size": 96}, class_token=class_token).eval()
    state = dict(small.state_dict())
    large.load_state_dict(checkpoint_filter_fn(state, large))
    image = torch.randn(1, 3, 96, 96)
    for mixer in (block.mixer for block in large.layers):
        assert mixer.grid == (6, 6)
    torch.testing.assert_close(large(image), small(image))


@pytest.mark.parametrize("class_token", [None, "middle"])
@torch.no_grad()
def test_targets_are_laid_out_on_the_grid(class_token):
    model = LocalVim(**SMALL | {"img_size": (48, 64)}, class_token=class_token).eval()
    tokens = token_grid(model)
    assert tokens.class_token_index == (None if class_token is None else 6)
    got = []
    model.get_submodule(tokens.default_target).register_forward_hook(
        lambda _m, _x, y: got.append((y, tokens.to_nchw(y)))
    )
    model(torch.randn(1, 3, 48, 64))
    features, nchw = got[0]
    assert nchw.shape == (1, 32, 3, 4)
    assert torch.equal(nchw[0, :, 2, 3], features[0, -1])


@pytest.mark.parametrize("name", ["localvim_tiny", "localvim_tiny_midcls"])
def test_is_a_citizen_of_timm(name):
    image = torch.randn(2, 3, 64, 64)
    grid = token_grid(timm.create_model(name, **SMALL))
    check_features(name, image, grid.to_nchw, **SMALL)
    check_head(timm.create_model(name, **SMALL), image)
    check_learning(timm.create_model(name, **SMALL, drop_path_rate=0.1), image, "layers.1.mixer")


def test_pools_what_it_is_told():
    image = torch.randn(1, 3, 64, 64)
    model = LocalVim(**SMALL, class_token="middle").eval()
    tokens = model.forward_features(image)
    pooled = model.forward_head(tokens, pre_logits=True)
    assert torch.equal(pooled, tokens[:, 8])
    model.reset_classifier(3, "avg")
    patches = torch.cat([tokens[:, :8], tokens[:, 9:]], dim=1)
    torch.testing.assert_close(model.forward_head(tokens, pre_logits=True), patches.mean(1))


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match='global_pool must be "avg" or "", got \'token\''):
        LocalVim(**SMALL, global_pool="token")
    with pytest.raises(ValueError, match='class_token must be "middle" or None'):
        LocalVim(**SMALL, class_token="first")
    with pytest.raises(ValueError, match="got 'diagonal'"):
        LocalVim(**SMALL | {"directions": (("diagonal",),)})(torch.randn(1, 3, 64, 64))
    with pytest.raises(ValueError, match='output_fmt must be "NCHW" or "NLC"'):
        LocalVim(**SMALL).forward_intermediates(torch.randn(1, 3, 64, 64), output_fmt="NHWC")
