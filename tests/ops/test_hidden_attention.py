"""The implicit attention of a scan: equal to the scan, to others' numbers, and within memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from mambaout.models.vim import VisionMamba
from mambaout.ops import ScanInputs, plain_selective_scan
from mambaout.ops.hidden_attention import (
    hidden_attention,
    hidden_attention_rows,
    mean_hidden_attention,
)
from tests.models.golden import load_golden, relative_error, weights

LENGTH = 23


def draw(b=2, d=5, n=3, length=LENGTH, dtype=torch.float64):
    def normal(*shape):
        return torch.randn(shape, dtype=dtype)

    return ScanInputs(
        path="forward",
        order=torch.arange(length),
        u=normal(b, d, length),
        delta=(normal(b, d, length) - 1).exp(),
        A=-normal(d, n).exp(),
        B=normal(b, n, length),
        C=normal(b, n, length),
        D=normal(d),
    )


def scan(inputs):
    return plain_selective_scan(*(getattr(inputs, name) for name in ("u", "delta", *"ABCD")))


def attend(alpha, inputs):
    return torch.einsum("bdts,bds->bdt", alpha, inputs.u) + inputs.D[:, None] * inputs.u


def test_attention_times_input_is_the_scan():
    inputs = draw()
    alpha = hidden_attention(inputs)
    assert alpha.tril(-1).abs().max() > 0.1
    assert (attend(alpha, inputs) - scan(inputs)).abs().max() <= 1e-10


def test_nothing_is_read_from_what_comes_later():
    alpha = hidden_attention(draw())
    past = torch.ones(LENGTH, LENGTH).tril().bool()
    assert (alpha[..., past] != 0).all()
    assert (alpha[..., ~past] == 0).all()


def test_by_hand():
    """Decay to a half at every step, the reading token's own step included."""
    halving = torch.full((1, 1, 3), np.log(2), dtype=torch.float64)
    one = torch.ones(1, 1, 3, dtype=torch.float64)
    inputs = ScanInputs(
        "forward", torch.arange(3), one, halving, -one[0, :, :1], one, one, one[0, 0]
    )
    alpha = hidden_attention(inputs)[0, 0] / np.log(2)
    expected = torch.tensor([[1, 0, 0], [1 / 2, 1, 0], [1 / 4, 1 / 2, 1]], dtype=torch.float64)
    torch.testing.assert_close(alpha, expected)


def test_long_sums_of_steps_lose_no_digits_and_do_not_overflow():
    """exp of the sum of all steps is about e^30000 here; float32 ends at e^88."""
    inputs = draw(length=600, dtype=torch.float32)
    inputs = replace(inputs, delta=inputs.delta * 30)
    assert (inputs.delta.sum(-1)[..., None] * inputs.A.abs()).max() > 10_000
    exact = replace(inputs, **{k: getattr(inputs, k).double() for k in ("u", "delta", *"ABCD")})
    got = hidden_attention(inputs)
    assert relative_error(got.double(), hidden_attention(exact)) <= 1e-6
    assert (attend(hidden_attention(exact), exact) - scan(exact)).abs().max() <= 1e-10


def test_rows_on_demand_are_rows_of_the_whole():
    inputs = draw()
    whole = hidden_attention(inputs)
    for rows in ([0], [7, 3, 22], []):
        torch.testing.assert_close(hidden_attention_rows(inputs, rows), whole[:, :, rows])


@pytest.mark.parametrize("rows", [[23], [-1]])
def test_refuses_a_step_there_is_not(rows):
    with pytest.raises(ValueError, match="rows must be 0 to 22"):
        hidden_attention_rows(draw(), rows)


def test_names_the_input_whose_shape_is_wrong():
    inputs = draw()
    with pytest.raises(ValueError, match=r"B must be \(b=2, n=3, l=23\)"):
        hidden_attention(replace(inputs, B=inputs.B.mT))


@pytest.mark.parametrize("signed", [True, False])
def test_mean_over_channels_does_not_depend_on_the_blocks(signed, monkeypatch):
    inputs = draw()
    alpha = hidden_attention(inputs)
    expected = (alpha if signed else alpha.abs()).mean(1)
    assert (alpha.mean(1).abs() - alpha.abs().mean(1)).abs().max() > 0.1
    for block in (1, 1000, 2**20):
        monkeypatch.setattr("mambaout.ops.hidden_attention._BLOCK", block)
        torch.testing.assert_close(mean_hidden_attention(inputs, signed=signed), expected)
    some = mean_hidden_attention(inputs, [4, 20], signed=signed)
    torch.testing.assert_close(some, expected[:, [4, 20]])


def test_gradients():
    inputs = draw(b=1, d=2, n=2, length=5)
    names = ("delta", "A", "B", "C")

    def rows(*tensors):
        return hidden_attention_rows(replace(inputs, **dict(zip(names, tensors, strict=True))), [2])

    given = [getattr(inputs, name).requires_grad_() for name in names]
    assert torch.autograd.gradcheck(rows, given)


class LargestArray(TorchDispatchMode):
    """The largest array that any operation of torch makes while this is active, in bytes."""

    nbytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for array in pytree.tree_leaves(result):
            if isinstance(array, torch.Tensor):
                self.nbytes = max(self.nbytes, array.untyped_storage().nbytes())
        return result


def test_memory_is_bounded_by_one_row_of_all_channels():
    """56 x 56 tokens: the 8 rows of all channels together would be 9.6 MB, all rows 3.8 GB."""
    length, d = 56 * 56, 96
    inputs = draw(b=1, d=d, n=1, length=length, dtype=torch.float32)
    one_row = 4 * d * length
    with LargestArray() as whole:
        hidden_attention_rows(inputs, range(0, length, 392))
    assert whole.nbytes == 8 * one_row
    with LargestArray() as blocked:
        mean = mean_hidden_attention(inputs, range(0, length, 392))
    assert mean.shape == (1, 8, length)
    assert blocked.nbytes == one_row


@torch.no_grad()
def scans_of(name, image):
    meta, tensors = load_golden(name)
    config = meta["config"]
    model = VisionMamba(
        img_size=config["img_size"],
        patch_size=config["patch_size"],
        num_classes=config["num_classes"],
        embed_dim=config["embed_dim"],
        depth=config["depth"],
    ).eval()
    model.load_state_dict(weights(meta, tensors))
    given = []
    for block in model.layers:
        block.mixer.register_forward_pre_hook(lambda mixer, args: given.append((mixer, *args)))
    logits = model(tensors["in.image"] if image is None else image(meta))
    return logits, [{s.path: s for s in mixer.scan_inputs(x)} for mixer, x in given]


def in_sequence_order(alpha, scan):
    """The recorded matrices have rows and columns in the order of the sequence, not of the scan."""
    back = scan.order.argsort()
    return alpha[..., back, :][..., back]


@torch.no_grad()
def test_is_what_the_papers_authors_recorded_channel_by_channel():
    meta, tensors = load_golden("hidden_attn_vim_mini")
    _, scans = scans_of("vim_mini", None)
    for name, expected in tensors.items():
        _, _, layer, path = name.split(".")
        scan = scans[int(layer)][path]
        alpha = in_sequence_order(hidden_attention(scan), scan)[:, :: meta["channel_stride"]]
        assert relative_error(alpha, expected) <= meta["tolerance"], name
    assert len(tensors) == 4


@torch.no_grad()
def test_is_what_the_papers_authors_recorded_for_197_tokens():
    def image(meta):
        drawn = np.random.default_rng(meta["input_seed"]).standard_normal((1, 3, 224, 224))
        return torch.from_numpy(drawn.astype(np.float32))

    meta, tensors = load_golden("hidden_attn_xai")
    logits, scans = scans_of("hidden_attn_xai", image)
    assert relative_error(logits, tensors["out.logits"]) <= meta["tolerance"]
    for layer in (0, 2):
        for path in ("forward", "backward"):
            scan = scans[layer][path]
            mean = in_sequence_order(mean_hidden_attention(scan, signed=True), scan)
            assert (
                relative_error(mean, tensors[f"out.attn_mean.0{layer}.{path}"]) <= meta["tolerance"]
            )


@torch.no_grad()
def test_their_single_row_lacks_the_decay_of_the_class_token():
    """Their shortcut for the class token's row stops decaying one step early; alpha does not."""
    meta, tensors = load_golden("hidden_attn_xai")
    rng = np.random.default_rng(meta["input_seed"])
    image = torch.from_numpy(rng.standard_normal((1, 3, 224, 224)).astype(np.float32))
    _, scans = scans_of("hidden_attn_xai", lambda meta: image)
    class_token = 98
    for layer in range(3):
        scan = scans[layer]["forward"]
        recorded = tensors[f"out.xai_vector.0{layer}"][..., :class_token]
        row = hidden_attention_rows(scan, [class_token])[:, :, 0, :class_token]
        assert relative_error(row, recorded) > 0.1
        delta = scan.delta.clone()
        delta[:, :, class_token] = 0
        frozen = replace(scan, delta=delta)
        row = hidden_attention_rows(frozen, [class_token])[:, :, 0, :class_token]
        assert relative_error(row, recorded) <= meta["tolerance"]
