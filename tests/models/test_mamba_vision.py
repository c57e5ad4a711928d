"""MambaVision: the authors' numbers, its causal form, windows, the manners of a timm model."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from mambaout import with_mixing
from mambaout.models import token_grid
from mambaout.models.attention import MixingAttention
from mambaout.models.checkpoints import load_checkpoint
from mambaout.models.mamba_vision import MambaVision
from mambaout.models.mamba_vision_blocks import MambaVisionMixer, WindowBlocks
from mambaout.ops import plain_selective_scan
from tests.models.causality import jacobian_by_token, redrawn
from tests.models.citizen import check_features, check_head, check_learning
from tests.models.golden import load_golden, relative_error, weights

SMALL = {
    "depths": (1, 1, 3, 2),
    "dim": 8,
    "in_dim": 8,
    "num_heads": (1, 2, 2, 4),
    "window_size": (8, 8, 4, 2),
    "layer_scale": 0.5,
    "num_classes": 3,
}


@torch.no_grad()
def test_gives_the_authors_numbers():
    meta, tensors = load_golden("mambavision_mini")
    config, tolerances = meta["config"], meta["tolerances"]
    model = MambaVision(**config).eval()
    # The safetensors files of the authors have this prefix.
    load_checkpoint(model, {f"model.{k}": v for k, v in weights(meta, tensors).items()})
    got = {}

    def note(name):
        return lambda _module, _inputs, output: got.update({name: output})

    model.patch_embed.register_forward_hook(note("patch_embed"))
    model.norm.register_forward_hook(note("norm"))
    for i, level in enumerate(model.levels):
        level.register_forward_hook(note(f"level.{i}.out"))
        for j, block in enumerate(level.blocks):
            block.register_forward_hook(note(f"level.{i}.block.{j}"))
            if i >= 2:
                block.mixer.register_forward_hook(note(f"level.{i}.mixer.{j}"))
    got["logits"] = model(tensors["in.image"])
    got["features"] = model.forward_head(got["norm"], pre_logits=True)
    assert set(got) == set(meta["outputs"])
    for output, tolerance in tolerances.items():
        assert relative_error(got[output], tensors[f"out.{output}"]) <= tolerance, output


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [
        ("mambavision_tiny", 31_794_248, 252),
        ("mambavision_tiny2", 35_104_008, 298),
        ("mambavision_small", 50_140_584, 285),
        ("mambavision_base", 97_685_288, 356),
        ("mambavision_large", 227_961_048, 356),
        ("mambavision_large2", 241_554_824, 389),
        ("mambavision_large2_512", 241_554_824, 389),
        ("mambavision_large3_256", 739_570_472, 601),
        ("mambavision_large3_512", 739_570_472, 601),
    ],
)
def test_sizes_are_the_authors(name, parameters, tensors):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == tensors
    # At the size of its pictures a map is one window, so that a sequence is the whole raster.
    pixels = model.pretrained_cfg["input_size"][1]
    assert [level.blocks.side for level in model.levels[2:]] == [pixels // 16, pixels // 32]


def test_says_that_its_weights_are_not_for_commercial_use():
    for name in timm.list_models("mambavision_*"):
        for tag in timm.models.get_arch_pretrained_cfgs(name).values():
            assert tag.license == "cc-by-nc-sa-4.0"


def test_the_later_half_of_the_blocks_attends():
    model = timm.create_model("mambavision_tiny", **SMALL)
    kinds = [[type(block.mixer) for block in level.blocks] for level in model.levels[2:]]
    assert kinds == [
        [MambaVisionMixer, MambaVisionMixer, MixingAttention],
        [MambaVisionMixer, MixingAttention],
    ]


class TestMixing:
    length = 12

    @pytest.mark.parametrize("block", [0, 2], ids=["scan", "attention"])
    def test_causal_mixer_never_looks_ahead(self, block):
        model = redrawn(timm.create_model("mambavision_tiny", **SMALL))
        shape = (1, self.length, 32)
        native = jacobian_by_token(model.levels[2].blocks[block].mixer, shape)
        assert native.triu(1).max() > 1e-3
        view = with_mixing(model, "causal")
        causal = jacobian_by_token(view.levels[2].blocks[block].mixer, shape)
        assert causal.tril(-1).max() > 1e-3
        assert causal.triu(1).max() == 0

    def test_natively_a_scan_sees_one_token_ahead(self):
        """Its convolutions are centred on the token; from there on, the scan only looks back."""
        mixer = redrawn(MambaVisionMixer(32))
        ahead = jacobian_by_token(mixer, (1, self.length, 32)).triu(1)
        assert ahead.diagonal(1).min() > 1e-4
        assert ahead.triu(2).max() == 0

    @torch.no_grad()
    def test_what_came_before_does_not_feel_what_comes_after(self):
        """All blocks of a level, over a map of one window that is raster ordered."""
        model = redrawn(timm.create_model("mambavision_tiny", **SMALL))
        x = torch.randn(1, 32, 4, 4)
        changed = x.clone()
        changed[..., 2, 1:] = torch.randn(3)
        changed[..., 3, :] = torch.randn(4)
        native, causal = (
            [m.levels[2].blocks(t).flatten(2)[0] for t in (x, changed)]
            for m in (model, with_mixing(model, "causal"))
        )
        assert (native[0] - native[1])[:, :9].abs().max() > 1e-3
        assert (causal[0] - causal[1])[:, 9:].abs().max() > 1e-3
        torch.testing.assert_close(causal[0][:, :9], causal[1][:, :9], rtol=0, atol=1e-5)

    @torch.no_grad()
    def test_a_view_and_the_way_back(self):
        model = redrawn(timm.create_model("mambavision_tiny", **SMALL))
        image = torch.randn(2, 3, 64, 64)
        native = model(image)
        view = with_mixing(model, "causal")
        assert (view(image) - native).abs().max() > 1e-3
        assert torch.equal(model(image), native)
        assert torch.equal(with_mixing(view, "bidirectional")(image), native)
        built = timm.create_model("mambavision_tiny", **SMALL, mixing="causal").eval()
        built.load_state_dict(model.state_dict())
        assert torch.equal(built(image), view(image))


class TestWindows:
    def test_tokens_go_by_rows_window_by_window(self):
        class Note(nn.Module):
            def forward(self, x):
                self.met = x
                return x

        note = Note()
        x = torch.arange(2 * 4 * 6).float().view(2, 1, 4, 6)
        assert torch.equal(WindowBlocks(note, side=2)(x), x)
        assert note.met.shape == (2 * 2 * 3, 4, 1)
        assert note.met[1, :, 0].tolist() == [2, 3, 8, 9]

    def test_what_they_do_not_cover_is_filled_up_with_zeros_and_cut_off(self):
        x = torch.ones(1, 1, 3, 5)
        seen = []
        y = WindowBlocks(nn.Identity(), side=4)
        y[0].register_forward_hook(lambda _m, args, _y: seen.append(args[0]))
        assert torch.equal(y(x), x)
        assert seen[0].shape == (2, 16, 1)
        assert seen[0].sum() == 15

    @torch.no_grad()
    def test_pictures_of_another_size(self):
        model = timm.create_model("mambavision_tiny", **SMALL).eval()
        assert model(torch.randn(1, 3, 96, 160)).shape == (1, 3)


@torch.no_grad()
def test_layer_scale_multiplies_what_is_added():
    scaled = redrawn(timm.create_model("mambavision_tiny", **SMALL)).levels[2].blocks[0]
    tokens = torch.randn(1, 16, 32)
    after_mixer = tokens + scaled.gamma_1 * scaled.mixer(scaled.norm1(tokens))
    expected = after_mixer + scaled.gamma_2 * scaled.mlp(scaled.norm2(after_mixer))
    torch.testing.assert_close(scaled(tokens), expected)
    plain = timm.create_model("mambavision_tiny", **SMALL | {"layer_scale": None})
    assert plain.levels[2].blocks[0].gamma_1 is None


@torch.no_grad()
def test_scan_inputs_are_what_the_scan_computes_with():
    mixer = redrawn(MambaVisionMixer(32))
    x = torch.randn(2, 9, 32)
    (inputs,) = mixer.scan_inputs(x)
    assert inputs.order.tolist() == list(range(9))
    assert (inputs.grid, inputs.z) == ((3, 3), None)
    y = plain_selective_scan(inputs.u, inputs.delta, inputs.A, inputs.B, inputs.C, inputs.D)
    beside = torch.nn.functional.silu(mixer.conv1d_z(mixer.in_proj(x)[..., 16:].mT))
    expected = mixer.out_proj(torch.cat([y, beside], dim=1).mT)
    torch.testing.assert_close(mixer(x), expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_targets_are_maps():
    model = timm.create_model("mambavision_tiny", **SMALL).eval()
    tokens = token_grid(model)
    _, maps = model.forward_intermediates(torch.randn(1, 3, 64, 64))
    got = {}
    for name in tokens.targets:
        model.get_submodule(name).register_forward_hook(
            lambda _m, _x, y, name=name: got.update({name: tokens.to_nchw(y)})
        )
    model(torch.randn(1, 3, 64, 64))
    levels = [name for name in tokens.targets if name.endswith("blocks")]
    assert [got[name].shape for name in levels] == [m.shape for m in maps]
    for name in set(tokens.targets) - set(levels):
        assert got[name].shape == got[name.rpartition(".")[0]].shape
    assert got[tokens.default_target].shape[2:] == (4, 4)


def test_is_a_citizen_of_timm():
    image = torch.randn(2, 3, 64, 64)
    check_features("mambavision_tiny", image, **SMALL)
    check_head(timm.create_model("mambavision_tiny", **SMALL), image)
    model = timm.create_model("mambavision_tiny", **SMALL, drop_path_rate=0.1)
    check_learning(model, image, "levels.2.blocks.0.mixer")


def test_another_output_format_is_refused():
    model = timm.create_model("mambavision_tiny", **SMALL)
    with pytest.raises(ValueError, match="output_fmt must be \"NCHW\", got 'NHWC'"):
        model.forward_intermediates(torch.randn(1, 3, 64, 64), output_fmt="NHWC")
