"""VMamba: the authors' numbers and names, its paths and causal form, the manners of timm."""

from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as F

from mambaout import with_mixing
from mambaout.models import share_weights, token_grid
from mambaout.models.checkpoints import load_checkpoint
from mambaout.models.staged import PatchMerging, to_nchw
from mambaout.models.vmamba import PATHS, CrossScan, VMamba, checkpoint_filter_fn
from mambaout.ops import plain_selective_scan
from tests.models.causality import jacobian_by_token, redrawn
from tests.models.citizen import check_features, check_head, check_learning
from tests.models.staged_numbers import check_numbers, named_outputs, recorded

GRID = (4, 5)  # not square: a transposed grid would show
FIRST = {"gate": True, "mlp_ratio": 0.0, "ssm_ratio": 2.0, "stem": "v1", "downsample": "v1"}
SECOND = {"gate": False, "mlp_ratio": 2.0, "ssm_ratio": 1.0}


def build(config):
    return VMamba(
        num_classes=config["num_classes"],
        depths=config["depths"],
        dims=config["dims"],
        d_state=config["ssm_d_state"],
        ssm_ratio=config["ssm_ratio"],
        mlp_ratio=config["mlp_ratio"],
        gate=config["forward_type"] == "v0",
        stem=config["patchembed_version"],
        downsample=config["downsample_version"],
    )


def small(**config):
    return VMamba(num_classes=7, depths=(1, 1), dims=(16, 24), d_state=4, **config)


@pytest.fixture(params=[FIRST, SECOND], ids=["first", "second"])
def model(request):
    return redrawn(small(**request.param))


@pytest.mark.parametrize("name", ["vmamba_mini", "vmamba_mini_eps", "vmamba_v0_mini"])
def test_gives_the_authors_numbers(name):
    model, meta, tensors = recorded(name, build)
    check_numbers(named_outputs(model, tensors["in.image"]), meta, tensors)


@torch.no_grad()
def test_a_picture_does_not_see_its_neighbour_in_the_batch():
    model, meta, tensors = recorded("vmamba_v0_mini", build)
    image = tensors["in.image"]
    alone = torch.cat([model(picture[None]) for picture in image])
    assert (alone[0] - alone[1]).abs().max() > 0.1
    check_numbers(named_outputs(model, image) | {"logits": alone}, meta, tensors)


@pytest.mark.parametrize(
    ("name", "parameters", "tensors"),
    [
        ("vmamba_tiny_v0", 22_893_448, 212),
        ("vmamba_small_v0", 44_417_416, 446),
        ("vmamba_base_v0", 76_254_056, 446),
        ("vmamba_tiny_s2l5", 30_705_832, 222),
        ("vmamba_small_s2l15", 50_147_752, 402),
        ("vmamba_base_s2l15", 88_557_800, 402),
        ("vmamba_tiny_s1l8", 30_249_064, 276),
        ("vmamba_small_s1l20", 49_012_840, 492),
        ("vmamba_base_s1l20", 86_614_504, 492),
    ],
)
def test_sizes_are_the_authors(name, parameters, tensors):
    with torch.device("meta"):
        model = timm.create_model(name)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert len(model.state_dict()) == tensors
    cfg = model.pretrained_cfg
    assert cfg["license"] == "mit"
    generation = "%23v0cls" if name.endswith("v0") else "%23v2cls"
    assert f"MzeroMiko/VMamba/releases/download/{generation}/vssm" in cfg["url"]


def test_miniature_is_as_large_as_the_others():
    sizes = {}
    for name in ("vmamba_atto", "vim_atto"):
        with torch.device("meta"):
            sizes[name] = timm.create_model(name, num_classes=24)
    ours, theirs = (sum(p.numel() for p in m.parameters()) for m in sizes.values())
    assert abs(ours / theirs - 1) < 0.1
    features = timm.create_model("vmamba_atto", features_only=True)(torch.randn(1, 3, 64, 64))
    assert [tuple(f.shape[2:]) for f in features] == [(16, 16), (8, 8), (4, 4)]


def test_reads_the_names_of_the_first_release():
    source, _, _ = recorded("vmamba_v0_mini", build)
    old = {}
    for name, tensor in source.state_dict().items():
        for today, then in (
            ("patch_embed.0.", "patch_embed.proj."),
            ("patch_embed.2.", "patch_embed.norm."),
            (".norm.", ".ln_1.") if ".blocks." in name else ("classifier.norm.", "norm."),
            (".op.", ".self_attention."),
            ("classifier.head.", "head."),
        ):
            name = name.replace(today, then)  # noqa: PLW2901 - one name, renamed step by step
        old[name] = tensor
    assert sum(name not in source.state_dict() for name in old) > len(old) / 2
    assert {"norm.weight", "head.bias", "layers.0.blocks.0.ln_1.bias"} < set(old)
    target = VMamba(num_classes=10, depths=(1, 1, 2, 1), dims=16, d_state=16, **FIRST)
    load_checkpoint(target, old)
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor), name


@torch.no_grad()
def test_reads_linear_layers_that_were_saved_as_convolutions():
    source, target = redrawn(small(**SECOND)), small(**SECOND)
    as_saved = {
        name: t[..., None, None]
        if name.endswith(("proj.weight", "fc1.weight", "fc2.weight"))
        else t
        for name, t in source.state_dict().items()
    }
    assert sum(t.ndim == 4 for t in as_saved.values()) > 8
    load_checkpoint(target, as_saved)
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(target.eval()(image), source(image))
    once = checkpoint_filter_fn(as_saved, target)
    twice = checkpoint_filter_fn(once, target)
    assert {n: t.shape for n, t in twice.items()} == {n: t.shape for n, t in once.items()}


def test_patches_that_lack_a_neighbour_are_merged_with_zeros():
    merging = PatchMerging(3, 5)
    x = torch.randn(2, 5, 7, 3)
    expected = merging(F.pad(x, (0, 0, 0, 1, 0, 1)))
    assert expected.shape == (2, 3, 4, 5)
    assert torch.equal(merging(x), expected)


def test_takes_pictures_of_any_size(model):
    assert model(torch.randn(1, 3, 36, 52)).shape == (1, 7)


@torch.no_grad()
def test_scan_inputs_are_what_the_mixer_computes_with(model):
    """The scans of `scan_inputs`, put back in place, summed, normed and gated, are its output."""
    mixer = model.layers[0].blocks[0].op
    tokens = torch.randn(2, *GRID, 16)
    scans = mixer.scan_inputs(tokens)
    assert tuple(scan.path for scan in scans) == PATHS
    total = 0
    for scan in scans:
        y = plain_selective_scan(scan.u, scan.delta, scan.A, scan.B, scan.C, scan.D)
        in_place = torch.empty_like(y)
        in_place[..., scan.order] = y
        total = total + in_place
    normed = mixer.out_norm(total.mT)
    if mixer.gate:
        normed = normed * F.silu(_in_raster_order(scans[1].z, scans[1].order).mT)
    else:
        assert scans[1].z is None
    got = mixer.out_proj(normed).view(2, *GRID, 16)
    torch.testing.assert_close(got, mixer(tokens), rtol=1e-4, atol=1e-5)


def _in_raster_order(t, order):
    placed = torch.empty_like(t)
    placed[..., order] = t
    return placed


def test_steps_start_log_uniform_between_a_thousandth_and_a_tenth():
    steps = F.softplus(CrossScan(256).dt_projs_bias.detach()).log10()
    assert steps.min() >= -3.001
    assert steps.max() <= -0.999
    assert abs(steps.mean() + 2) < 0.1
    assert abs(steps.std() - 2 / 12**0.5) < 0.1


def test_paths_go_by_rows_and_by_columns_from_either_end():
    mixer = CrossScan(16)
    orders = {s.path: s.order.tolist() for s in mixer.scan_inputs(torch.randn(1, 2, 3, 16))}
    assert orders == {
        "row": [0, 1, 2, 3, 4, 5],
        "column": [0, 3, 1, 4, 2, 5],
        "row reversed": [5, 4, 3, 2, 1, 0],
        "column reversed": [5, 2, 4, 1, 3, 0],
    }


@torch.no_grad()
def test_paths_may_run_alone(model):
    """What each subset hands to the norm adds up to what all four do."""
    tokens = torch.randn(1, *GRID, 16)

    def before_norm(paths):
        mixer = share_weights(model).layers[0].blocks[0].op
        mixer.paths = paths
        met = []
        mixer.out_norm.register_forward_pre_hook(lambda _, inputs: met.append(inputs[0]))
        mixer(tokens)
        return met[0]

    parts = [before_norm(("column reversed", "row")), *(before_norm((p,)) for p in PATHS[1:3])]
    assert all(part.abs().max() > 0.1 for part in parts)
    torch.testing.assert_close(sum(parts), before_norm(PATHS), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("part", ["op", "block"])
def test_causal_mixer_never_looks_ahead(model, part):
    def pick(view):
        block = view.layers[0].blocks[0]
        return block.op if part == "op" else block

    shape = (1, *GRID, 16)
    before = jacobian_by_token(pick(model), shape)
    assert before.triu(1).max() > 1e-3
    after = jacobian_by_token(pick(with_mixing(model, "causal")), shape)
    assert after[-1, :-1].min() > 0  # the last token sees every other
    assert after.triu(1).max() == 0


def test_the_path_by_rows_alone_is_not_causal(model):
    """The convolution before the scan looks ahead; that is why it is masked as well."""
    view = with_mixing(model, "causal")
    mixer = view.layers[0].blocks[0].op
    mixer.conv2d.mixing = "bidirectional"
    assert jacobian_by_token(mixer, (1, *GRID, 16)).triu(1).max() > 1e-3
    mask = with_mixing(model, "causal").layers[0].blocks[0].op.conv2d
    weight = torch.autograd.functional.jacobian(
        lambda w: torch.func.functional_call(
            mask, {"weight": w}, (torch.ones(1, mask.in_channels, *GRID),)
        )[0, 0, 2, 2],
        mask.weight,
    )
    assert weight[0, 0].ne(0).int().tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]


@torch.no_grad()
def test_what_came_before_does_not_feel_what_comes_after(model):
    """Prefix invariance: no gradients involved."""
    causal = with_mixing(model, "causal").layers[0].blocks[0]
    tokens = torch.randn(1, *GRID, 16)
    for first in (1, 7, 12):
        changed = tokens.clone()
        changed.view(-1, 16)[first:] = torch.randn(20 - first, 16)
        before, after = (causal(t).view(-1, 16) for t in (tokens, changed))
        assert (before[first:] - after[first:]).abs().max() > 1e-3
        torch.testing.assert_close(before[:first], after[:first], rtol=0, atol=1e-6)


@torch.no_grad()
def test_mixing_is_a_view(model):
    image = torch.randn(1, 3, 32, 48)
    before = model(image)
    causal = with_mixing(model, "causal")
    assert (causal(image) - before).abs().max() > 1e-3
    assert torch.equal(model(image), before)
    assert torch.equal(with_mixing(causal, "bidirectional")(image), before)
    assert "mixing='causal'" in repr(causal)


@torch.no_grad()
def test_constructor_says_the_same_as_the_switch():
    built = small(mixing="causal", **SECOND).eval()
    switched = small(**SECOND).eval()
    switched.load_state_dict(built.state_dict())
    image = torch.randn(1, 3, 32, 32)
    assert torch.equal(with_mixing(switched, "causal")(image), built(image))
    assert (switched(image) - built(image)).abs().max() > 1e-4


def test_is_at_home_in_timm():
    check_features("vmamba_atto", torch.randn(2, 3, 64, 96), to_nchw())
    check_head(timm.create_model("vmamba_atto"), torch.randn(2, 3, 64, 64))
    for config in (FIRST, SECOND):
        check_learning(
            small(drop_path_rate=0.1, **config), torch.randn(2, 3, 32, 32), "layers.1.blocks.0.norm"
        )


def test_says_where_its_tokens_are():
    model = timm.create_model("vmamba_atto").eval()
    tokens = token_grid(model)
    assert tokens.targets == (
        "layers.0.blocks.0",
        "layers.0.blocks",
        "layers.1.blocks.0",
        "layers.1.blocks.1",
        "layers.1.blocks",
        "layers.2.blocks.0",
        "layers.2.blocks",
    )
    assert tokens.titles[:3] == (
        "stage 1, block 1 of 2",
        "stage 1, block 2 of 2",
        "stage 2, block 1 of 3",
    )
    assert tokens.default_target == "layers.1.blocks"
    met = []
    model.get_submodule(tokens.default_target).register_forward_hook(
        lambda _module, _inputs, output: met.append(tokens.to_nchw(output))
    )
    model(torch.randn(1, 3, 64, 96))
    assert met[0].shape == (1, 96, 8, 12)


def test_intermediates_may_be_normed_and_channels_last():
    model = timm.create_model("vmamba_atto").eval()
    image = torch.randn(1, 3, 64, 64)
    final, maps = model.forward_intermediates(image, norm=True, output_fmt="NHWC")
    assert torch.equal(maps[-1], final)
    assert torch.equal(final, model.forward_features(image))
    with pytest.raises(ValueError, match="output_fmt must be"):
        model.forward_intermediates(image, output_fmt="NLC")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"stem": "v3"}, "stem must be one of"),
        ({"downsample": "v2"}, "downsample must be one of"),
        ({"mixing": "forward"}, "mixing must be one of"),
        ({"dims": (16, 24, 32)}, r"one width per stage \(=2\)"),
        ({"global_pool": "max"}, "global_pool must be"),
    ],
)
def test_refuses_what_there_is_not(wrong, message):
    with pytest.raises(ValueError, match=message):
        VMamba(**({"depths": (1, 1), "dims": (16, 24)} | wrong))
