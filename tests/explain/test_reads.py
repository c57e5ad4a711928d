"""What tokens read, against whole Jacobians, scans written out, and reach known beforehand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import timm
import torch

from mambaout import with_mixing
from mambaout.errors import ExplanationError
from mambaout.explain import TokenReads, token_reads
from mambaout.explain.token_mixers import mixer_names
from mambaout.models.efficient_vmamba import EfficientVMamba
from mambaout.models.local_vim import LocalVim
from mambaout.models.local_vmamba import LocalVMamba
from mambaout.models.mamba_vision import MambaVision
from mambaout.models.plain_mamba import PlainMamba
from mambaout.models.vmamba import PATHS, VMamba
from mambaout.ops.hidden_attention import hidden_attention
from tests.explain.guests import FAMILIES, SIZE, busy_model, left_as_found, picture
from tests.explain.guests import small_mambaout as mambaout
from tests.explain.guests import small_vim as vim
from tests.models.causality import redrawn
from tests.ops.test_hidden_attention import LargestArray

ALL = 10_000  # more directions than any of the models has channels
LAYERS = {"mambaout": "stages.1.blocks.0", "vim": "layers.1.mixer"}
GRIDS = {"mambaout": (8, 12), "vim": (4, 6)}

DIRECTIONS = ("h", "v_flip", "w2", "w3_flip")
OTHERS = {
    "vmamba": lambda: VMamba(depths=(1, 1), dims=8, d_state=2),
    "mamba_vision": lambda: MambaVision(
        depths=(1, 1, 2, 2), dim=8, num_heads=(1, 1, 2, 2), window_size=(8, 8, 3, 2)
    ),
    "local_vim": lambda: LocalVim(
        (64, 64), embed_dim=16, directions=(DIRECTIONS,), class_token="middle"
    ),
    "local_vmamba": lambda: LocalVMamba((DIRECTIONS,) * 2, depths=(1, 1), dims=8, d_state=2),
    "plain_mamba": lambda: PlainMamba((64, 64), embed_dim=16, depth=1, d_state=2),
    "efficient_vmamba": lambda: EfficientVMamba(depths=(1, 1, 1), dims=8, d_state=2),
    "efficient_vim": lambda: timm.create_model("efficientvim_m1"),
    "vit": lambda: timm.create_model(
        "test_vit", img_size=64, num_classes=3, class_token=True, global_pool="token"
    ),
}


@torch.no_grad()
def mixer_by_hand(model, image):
    """The mixer at `LAYERS` as a function of normed tokens (l, c), and these tokens."""
    if hasattr(model, "stages"):
        block = model.stages[1].blocks[0]
        x = block.norm(model.stages[1].downsample(model.stages[0](model.stem(image))))

        def mix(tokens):
            h, i, c = block.fc1(tokens.view(x.shape)).split(block.split_indices, dim=-1)
            c = block.conv(c.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            return block.fc2(block.act(h) * torch.cat([i, c], dim=-1)).flatten(0, 2)

        return mix, x.flatten(0, 2)
    _, (x, *_) = model.forward_intermediates(image, output_fmt="NLC")
    block = model.layers[1]
    return lambda tokens: block.mixer(tokens[None])[0], block.norm(x)[0]


def gains(model, image):
    """sqrt(‖J_ts‖² / c) from the whole Jacobian."""
    mix, tokens = mixer_by_hand(model, image)
    whole = torch.autograd.functional.jacobian(mix, tokens, vectorize=True)  # (l, c, l, c)
    return (whole.square().sum((1, 3)) / tokens.shape[1]).sqrt().numpy()


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture
def model(family):
    return redrawn(FAMILIES[family]()).double()


def patch_distance(grid):
    """Rows or columns between each two patches, whichever are more, (h*w, h*w)."""
    y, x = np.divmod(np.arange(grid[0] * grid[1]), grid[1])
    return np.maximum(abs(y[:, None] - y), abs(x[:, None] - x))


def test_all_directions_give_the_whole_jacobian(family, model):
    image = picture().double()
    reads = token_reads(model, image, LAYERS[family], probes=ALL)
    expected = gains(model, image)
    assert reads.matrix.shape == expected.shape
    assert (reads.grid, reads.layer, reads.measure) == (GRIDS[family], LAYERS[family], "jacobian")
    np.testing.assert_allclose(reads.matrix, expected, rtol=1e-5, atol=1e-6 * expected.max())
    assert "Estimated" not in reads.caveat


def test_few_directions_come_as_near_as_they_say(family, model):
    def ask(probes):
        rows = range(0, 25, 6)
        return token_reads(model, picture().double(), LAYERS[family], rows=rows, probes=probes)

    expected = ask(ALL).matrix
    said, missed = {}, {}
    for probes in (2, 8):
        reads = ask(probes)
        said[probes] = float(reads.caveat.rpartition("within ")[2].partition("%")[0]) / 100
        missed[probes] = abs(reads.matrix - expected).sum() / expected.sum()
        assert ((reads.matrix == 0) == (expected == 0)).all()
        assert 0.4 * said[probes] < missed[probes] < 2 * said[probes]
    assert missed[8] < missed[2]
    assert 0 < said[8] < 0.15
    np.testing.assert_array_equal(ask(8).matrix, reads.matrix)


def test_a_convolution_reads_its_neighbourhood_and_nothing_else():
    model = redrawn(mambaout())
    reads = token_reads(model, picture(), LAYERS["mambaout"])
    np.testing.assert_array_equal(reads.matrix > 0, patch_distance((8, 12)) <= 3)
    assert set(reads.reach(1.0)) == {3.0}
    causal = token_reads(with_mixing(model, "causal"), picture(), LAYERS["mambaout"])
    centre = 4 * 12 + 6
    expected = np.zeros((8, 12), bool)
    expected[1:4, 3:10] = expected[4, 3:7] = True
    np.testing.assert_array_equal(causal.row(centre) > 0, expected)
    assert expected.sum() == 25


@pytest.mark.parametrize(
    ("family", "measure"), [(f, "jacobian") for f in FAMILIES] + [("vim", "scan")]
)
def test_causal_tokens_read_nothing_that_comes_later(family, measure):
    model = redrawn(FAMILIES[family]())
    image, layer = picture(), LAYERS[family]
    both_ways = token_reads(model, image, layer, measure).share_after()
    assert both_ways[:-1].min() > 1e-3
    assert both_ways[-1] == 0  # nothing comes after the last patch
    causal = token_reads(with_mixing(model, "causal"), image, layer, measure)
    assert (causal.share_after() == 0).all()
    before = causal.patches().sum(1) - np.diag(causal.patches())
    assert before[1:].min() > 0


@torch.no_grad()
@pytest.mark.parametrize("signed", [True, False])
def test_scan_weights_are_the_mean_over_channels_and_paths(signed):
    model = redrawn(vim()).double()
    _, tokens = mixer_by_hand(model, picture().double())
    alphas = {}
    for scan in model.layers[1].mixer.scan_inputs(tokens[None]):
        alpha = hidden_attention(scan)[0]
        alpha = alpha.flip(1, 2) if scan.path == "backward" else alpha
        alphas[scan.path] = (alpha if signed else alpha.abs()).mean(0).numpy()
    expected = {None: (alphas["forward"] + alphas["backward"]) / 2, **alphas}
    for path, of_path in expected.items():
        reads = token_reads(model, picture().double(), LAYERS["vim"], "scan", path, signed)
        np.testing.assert_allclose(reads.matrix, of_path, rtol=1e-5)
        assert (reads.path, reads.signed) == (path, signed)
        assert reads.class_token_index == 12
    assert (expected["forward"] != np.triu(expected["forward"])).any()
    assert (expected["forward"].min() < 0) == signed


@pytest.mark.parametrize("path", PATHS)
def test_a_path_reads_what_it_came_by(path):
    """On a grid that is not square: a transposed order would read other tokens."""
    model = redrawn(OTHERS["vmamba"]())
    reads = token_reads(model, picture(), "layers.1.blocks", "scan", path)
    assert reads.layer == "layers.1.blocks.0.op"
    assert reads.grid == (8, 12)
    y, x = np.divmod(np.arange(96), 12)
    step = x * 8 + y if path.startswith("column") else y * 12 + x
    step = -step if path.endswith("reversed") else step
    np.testing.assert_array_equal(reads.matrix > 0, step[:, None] >= step)


def test_a_token_on_one_path_only_is_not_averaged_with_paths_that_pass_it_by():
    model = redrawn(OTHERS["efficient_vmamba"]())
    image, mixer = picture(), "layers.0.blocks.0.op"
    together = token_reads(model, image, mixer, "scan")
    paths = model.get_submodule(mixer).paths
    apart = [token_reads(model, image, mixer, "scan", path).matrix for path in paths]
    assert [(matrix.sum(1) > 0).mean() for matrix in apart] == [0.25] * 4
    np.testing.assert_allclose(together.matrix, sum(apart), rtol=1e-6)


def test_says_when_results_are_put_elsewhere():
    """LocalMamba undoes a scan by columns on square grids only."""
    model = redrawn(OTHERS["local_vmamba"]())
    square, oblong = picture()[..., :64], picture()
    for image, path, said in (
        (square, "v_flip", False),
        (oblong, "v_flip", True),
        (oblong, "h", False),
    ):
        reads = token_reads(model, image, None, "scan", path, rows=[0])
        assert ("not square" in reads.caveat) == said


def test_windows_do_not_read_one_another():
    """4 x 6 tokens in windows of 3 x 3: the lower ones are filled up with zeros."""
    model = redrawn(OTHERS["mamba_vision"]())
    y, x = np.divmod(np.arange(24), 6)
    window, step = y // 3 * 2 + x // 3, y % 3 * 3 + x % 3
    inside = window[:, None] == window
    past = step[:, None] >= step
    next_too = step[:, None] + 1 >= step  # the convolution beside the scan looks one token ahead
    for block, measure, seen in (
        (0, "jacobian", next_too),
        (0, "scan", past),
        (1, "jacobian", True),  # attention
    ):
        reads = token_reads(model, picture(), f"levels.2.blocks.{block}.mixer", measure)
        assert reads.grid == (4, 6)
        np.testing.assert_array_equal(reads.matrix > 0, inside & seen)
        some = token_reads(model, picture(), reads.layer, measure, rows=[13, 2])
        np.testing.assert_array_equal(some.matrix > 0, reads.matrix[[13, 2]] > 0)


@pytest.mark.parametrize("family", OTHERS)
def test_every_mixer_of_every_family_can_be_asked(family):
    model = redrawn(OTHERS[family]())
    image = picture()[..., :64]
    names = mixer_names(model)
    assert names
    for name in names:
        whole = token_reads(model, image, name, probes=2)
        n_tokens = np.prod(whole.grid) + (whole.class_token_index is not None)
        assert whole.matrix.shape == (n_tokens, n_tokens)
        assert np.diag(whole.matrix).min() > 0
        rows = sorted({n_tokens - 1, 0}, reverse=True)
        some = token_reads(model, image, name, probes=2, rows=rows)
        np.testing.assert_allclose(some.matrix, whole.matrix[rows], rtol=1e-4, atol=1e-6)
        if hasattr(model.get_submodule(name), "scan_inputs"):
            scan = token_reads(model, image, name, "scan")
            assert scan.matrix.shape == whole.matrix.shape
            assert np.diag(scan.matrix).min() > 0
            some = token_reads(model, image, name, "scan", rows=rows)
            np.testing.assert_allclose(some.matrix, scan.matrix[rows], rtol=1e-4)


@pytest.mark.parametrize(
    ("family", "target", "mixer"),
    [
        ("mambaout", "stages.2", "stages.2.blocks.0"),
        ("mambaout", None, "stages.1.blocks.0"),
        ("vim", "layers.1.norm", "layers.1.mixer"),
        ("vim", "layers.1.mixer", "layers.1.mixer"),
    ],
)
def test_a_target_of_grad_cam_stands_for_its_mixer(family, target, mixer):
    reads = token_reads(redrawn(FAMILIES[family]()), picture(), target, rows=[0])
    assert reads.layer == mixer


def test_few_rows_of_a_large_grid_fit_in_memory():
    """56 x 56 tokens: the attention of all rows and channels would take 3.8 GB."""
    model = redrawn(VMamba(depths=(1,), dims=96, d_state=1))
    image = torch.randn(1, 3, 224, 224)
    for measure in ("jacobian", "scan"):
        with LargestArray() as largest:
            reads = token_reads(model, image, measure=measure, rows=[0, 1600, 3135], probes=2)
        assert reads.matrix.shape == (3, 3136)
        assert largest.nbytes <= 2 * 4 * 4 * 96 * 3136  # gradients of u and Δ of the four paths
    assert reads.row(1600).shape == (56, 56)


def reads_by_hand(**changes):
    """Six patches on two rows, and a class token before the fourth."""
    matrix = np.zeros((7, 7), np.float32)
    matrix[:, 3] = 100  # the class token is read, and is no patch
    matrix[3] = 50
    matrix[0, 0], matrix[0, 1], matrix[0, 6] = 1, 2, -1
    matrix[6, 0], matrix[6, 6] = 3, 1
    values = {
        "matrix": matrix,
        "rows": np.arange(7),
        "layer": "",
        "measure": "scan",
        "path": None,
        "signed": True,
        "grid": (2, 3),
        "class_token_index": 3,
        "unit": "",
        "caveat": "",
    }
    return TokenReads(**values | changes)


def test_patches_leave_the_class_token_out():
    reads = reads_by_hand()
    assert reads.patches().shape == (6, 6)
    assert reads.patches().max() == 3
    np.testing.assert_array_equal(reads.row(0), [[1, 2, 0], [0, 0, -1]])
    np.testing.assert_array_equal(reads.row(3), np.full((2, 3), 50))
    with pytest.raises(ValueError, match="got 7"):
        reads.row(7)


def test_a_column_says_who_reads_a_token():
    reads = reads_by_hand()
    np.testing.assert_array_equal(reads.column(0), [[1, 0, 0], [0, 0, 3]])
    np.testing.assert_array_equal(reads.column(3), np.full((2, 3), 100))  # the class token is read
    order = np.array([6, 2, 3, 0, 1, 5, 4])
    shuffled = reads_by_hand(matrix=reads.matrix[order], rows=order)
    for token in range(7):
        np.testing.assert_array_equal(shuffled.column(token), reads.column(token))
    with pytest.raises(ValueError, match="from 0 to 6, got 7"):
        reads.column(7)
    some = reads_by_hand(matrix=reads.matrix[:4], rows=np.arange(4))
    with pytest.raises(ValueError, match="rows of all 6 patches, got 3: ask token_reads with rows"):
        some.column(0)


def test_reach_and_share_by_hand():
    reads = reads_by_hand()
    nothing = [np.nan] * 4
    np.testing.assert_array_equal(reads.reach(0.25), [0, *nothing, 0])
    np.testing.assert_array_equal(reads.reach(0.75), [1, *nothing, 2])
    np.testing.assert_array_equal(reads.reach(1), [2, *nothing, 2])
    np.testing.assert_array_equal(reads.share_after(), [0.75, *nothing, 0])
    some = reads_by_hand(matrix=reads.matrix[[6, 3, 0]], rows=np.array([6, 3, 0]))
    np.testing.assert_array_equal(some.share_after(), [0, 0.75])
    np.testing.assert_array_equal(some.reach(0.75), [2, 1])
    for threshold in (0, 1.1):
        with pytest.raises(ValueError, match="threshold"):
            reads.reach(threshold)


@pytest.mark.parametrize(
    ("family", "arguments", "message"),
    [
        ("mambaout", {"measure": "scan"}, "MambaOut has no scan: .* 7x7 depthwise"),
        ("vim", {"layer": "layers.9"}, r"mixer \(layers.0.mixer, .*, got 'layers.9'"),
        ("vim", {"layer": "layers.1"}, "got 'layers.1'"),
        ("vim", {"measure": "attention"}, "measure must be one of jacobian, scan"),
        ("vim", {"measure": "scan", "path": "down"}, "forward, backward, or None"),
        ("vim", {"path": "forward"}, "neither path nor signed"),
        ("vim", {"signed": True}, "neither path nor signed"),
        ("vim", {"probes": 1}, "at least 2, got 1"),
        ("vim", {"rows": [25]}, "0 to 24"),
        ("vim", {"rows": [3, 3]}, "different tokens"),
        ("vim", {"image": torch.zeros(2, 3, *SIZE)}, "one picture"),
    ],
)
def test_says_what_is_wrong(family, arguments, message):
    model = busy_model(family)
    with left_as_found(model, ExplanationError):
        token_reads(**{"model": model, "image": picture()} | arguments)
    with pytest.raises(ExplanationError, match=message):
        token_reads(**{"model": model, "image": picture()} | arguments)


def test_says_which_layer_has_no_scan():
    model = redrawn(OTHERS["mamba_vision"]())
    with pytest.raises(ExplanationError, match=r"levels\.0\.blocks\.0 has no scan"):
        token_reads(model, picture(), "levels.0.blocks", "scan")
    with pytest.raises(ExplanationError, match="ResNet has not said"):
        token_reads(timm.create_model("test_resnet"), picture())


@pytest.mark.parametrize(("weight", "message"), [(0, "all weights are zero"), (np.nan, "infinite")])
@pytest.mark.parametrize(
    ("measure", "layers"), [("jacobian", ["out_proj"]), ("scan", ["x_proj", "x_proj_b"])]
)
def test_nothing_and_no_number_are_errors(measure, layers, weight, message):
    model = redrawn(vim())
    for layer in layers:
        getattr(model.layers[1].mixer, layer).weight.fill_(weight)
    with pytest.raises(ExplanationError, match=message):
        token_reads(model, picture(), LAYERS["vim"], measure)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("measure", ["jacobian", "scan"])
def test_is_a_good_guest_whatever_its_host_does(measure, mode):
    model = busy_model("vim")
    expected = token_reads(model, picture(), LAYERS["vim"], measure)
    with left_as_found(model), mode():
        reads = token_reads(model, picture(), LAYERS["vim"], measure)
    np.testing.assert_array_equal(reads.matrix, expected.matrix)


def test_several_may_ask_one_model_at_once(family):
    model = redrawn(FAMILIES[family]())
    layer, rows = LAYERS[family], [0, 20]
    pictures = [picture(seed) for seed in range(4)]
    alone = [token_reads(model, image, layer, rows=rows).matrix for image in pictures]
    assert abs(alone[0] - alone[1]).max() > 1e-4
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda image: token_reads(model, image, layer, rows=rows), pictures)
        for reads, expected in zip(together, alone, strict=True):
            np.testing.assert_allclose(reads.matrix, expected, rtol=1e-5, atol=1e-7)
