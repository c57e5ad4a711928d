"""The fused steps of a layer against their plain forms, alone and inside the mixers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from mambaout.models import vim_mixer, vmamba
from mambaout.models.vim_mixer import VimMixer
from mambaout.models.vmamba import PATHS, CrossScan
from mambaout.ops import layer_scan, plain_selective_scan
from mambaout.ops.layer_scan import (
    PathParameters,
    fusible,
    merged_scan,
    path_conv,
    step_sizes,
    walks,
)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def redraw(module):
    """Weights that are no longer alike, path by path and channel by channel."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=rng), alpha=0.3)
    return module.eval()


@pytest.mark.parametrize("shape", [(2, 9, 48), (1, 1, 16), (1, 2, 64), (3, 33, 96)], ids=str)
@pytest.mark.parametrize("taps", [1, 4])
def test_convolutions_of_all_paths_equal_torchs(shape, taps):
    x, d = normal(*shape, seed=1), shape[-1]
    x = F.pad(x, (16, 0))[..., 16:]  # cut out of a wider projection
    weights, biases = normal(2, d, 1, taps, seed=2), normal(2, d, seed=3)
    with torch.no_grad():
        got = path_conv(x, list(weights), list(biases), (False, True))
    weights.requires_grad_()
    expected = path_conv(x, list(weights), list(biases), (False, True))
    assert expected.requires_grad
    torch.testing.assert_close(got, expected.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("d", "rank"), [(16, 1), (48, 3), (192, 12)])
def test_step_sizes_equal_torchs(d, rank):
    low, weights, biases = normal(2, 3, 7, rank), 3 * normal(2, d, rank), normal(2, d) - 2
    with torch.no_grad():
        got = step_sizes(low, list(weights), list(biases))
    raw = torch.einsum("kblr,kdr->kbld", low.double(), weights.double())
    expected = F.softplus(raw + biases.double()[:, None, None])
    torch.testing.assert_close(got, expected.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("k", [1, 2, 4])
@pytest.mark.parametrize(
    ("b", "length", "d", "n"),
    [
        (2, 7, 16, 1), (1, 1, 96, 16), (1, 40, 48, 2), (3, 12, 192, 4), (1, 50, 64, 8),
        (1, 9, 32, 32),
    ],
)  # fmt: skip
@torch.no_grad()
def test_the_merged_scan_equals_plain_scans_added_up(k, b, length, d, n, gated):
    rank, rng = 3, np.random.default_rng(0)
    u, z = normal(k, b, length, d, seed=1), normal(b, length, d, seed=2)
    low = normal(b, length, k, rank + 2 * n, seed=3).permute(2, 0, 1, 3)
    weights, biases = normal(k, d, rank, seed=4), normal(k, d, seed=5) - 2
    rates, skips = normal(k, d, n, seed=6), normal(k, d, seed=7)
    orders = np.stack([rng.permutation(length) for _ in range(k)])
    got = merged_scan(
        u,
        low,
        PathParameters(*map(list, (weights, biases, rates, skips))),
        orders,
        z=z if gated else None,
        scale=0.5,
    )
    expected = torch.zeros(b, length, d, dtype=torch.double)
    for path in range(k):
        order = torch.from_numpy(orders[path])
        along = low[path][:, order].double()
        y = plain_selective_scan(
            u[path][:, order].mT.double(),
            (along[..., :rank] @ weights[path].double().T).mT,
            -rates[path].double().exp(),
            along[..., rank : rank + n].mT,
            along[..., rank + n :].mT,
            skips[path].double(),
            delta_bias=biases[path].double(),
            delta_softplus=True,
        )
        expected[:, order] += y.mT
    expected *= 0.5
    if gated:
        expected *= F.silu(z.double())
    assert (got - expected).abs().max() <= 3e-6 * expected.abs().max()


MIXERS = {
    "vim": lambda mixing: (VimMixer(48, d_state=4, mixing=mixing), normal(2, 10, 48)),
    "vim, two tokens": lambda mixing: (VimMixer(32, mixing=mixing), normal(1, 2, 32)),
    "vmamba": lambda mixing: (
        CrossScan(32, d_state=1, ssm_ratio=1.0, gate=False, mixing=mixing),
        normal(1, 5, 7, 32),
    ),
    "vmamba of the first version": lambda mixing: (
        CrossScan(24, mixing=mixing),
        normal(2, 4, 3, 24),
    ),
}


@pytest.fixture
def merged_calls(monkeypatch):
    """How often a mixer took the fused way."""
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments)
        return merged_scan(*arguments, **options)

    monkeypatch.setattr(vim_mixer, "merged_scan", counted)
    monkeypatch.setattr(vmamba, "merged_scan", counted)
    return calls


@pytest.mark.parametrize("mixing", ["bidirectional", "causal"])
@pytest.mark.parametrize("name", MIXERS)
def test_a_mixer_gives_the_same_numbers_with_and_without_gradients(name, mixing, merged_calls):
    mixer, x = MIXERS[name](mixing)
    redraw(mixer)
    plain = mixer(x)
    assert plain.requires_grad
    assert not merged_calls
    with torch.inference_mode():
        fused = mixer(x)
    assert len(merged_calls) == 1
    torch.testing.assert_close(fused, plain.detach(), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_any_subset_of_paths_merges(merged_calls):
    mixer, x = redraw(CrossScan(32, d_state=2)), normal(1, 3, 4, 32)
    mixer.paths = (PATHS[3], PATHS[0])
    u = normal(1, 3, 4, 64)
    fused = mixer._scanned(u)
    assert len(merged_calls) == 1
    torch.testing.assert_close(fused, super(CrossScan, mixer)._scanned(u), rtol=1e-4, atol=1e-5)
    assert mixer(x).shape == x.shape


@pytest.mark.parametrize("name", MIXERS)
@torch.no_grad()
def test_weights_changed_in_place_count_at_once(name, merged_calls):
    """Also where no version counter sees it, through `.data`: nothing is prepared and kept."""
    mixer, x = MIXERS[name]("bidirectional")
    redraw(mixer)
    before = mixer(x)
    for parameter in mixer.parameters():
        was = parameter.clone()
        parameter.data.mul_(1.5)
        assert not torch.equal(mixer(x), before)
        parameter.data.copy_(was)
    assert torch.equal(mixer(x), before)
    assert len(merged_calls) == len(list(mixer.parameters())) + 2


def test_what_differentiates_or_counts_sees_plain_operators(merged_calls):
    mixer, x = redraw(VimMixer(32)).requires_grad_(False), normal(1, 6, 32)
    mixer(x.clone().requires_grad_()).sum().backward()
    with FlopCounterMode(display=False), torch.no_grad():
        mixer(x)
    mixer.A_log.requires_grad_()
    mixer(x)
    assert not merged_calls
    mixer.requires_grad_(False)
    mixer(x)
    assert len(merged_calls) == 1


def test_a_tangent_is_not_lost():
    with torch.autograd.forward_ad.dual_level():
        assert not fusible(normal(2, 16), [])
    assert fusible(normal(2, 16), [])


@pytest.mark.parametrize(
    "x", [normal(2, 16).double(), normal(2, 16).half(), normal(2, 15), normal(2, 16).to("meta")]
)
def test_what_the_kernels_do_not_take(x):
    assert not fusible(x, [])


@torch.no_grad()
def test_threads_change_nothing_but_the_time(monkeypatch):
    mixer, x = redraw(VimMixer(96)), normal(2, 20, 96)
    results = []
    for threads in (1, 2, 3, 7):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        results.append(mixer(x))
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_a_number_that_is_none_is_not_hidden():
    mixer, x = redraw(VimMixer(32, mixing="causal")), normal(1, 20, 32)
    x[0, 11] = torch.nan
    y = mixer(x)
    assert torch.isnan(y[0, 11:]).all()
    assert torch.isfinite(y[0, :11]).all()


def test_walks_are_kept_and_not_written_to():
    assert walks((False, True), 3).tolist() == [[0, 1, 2], [2, 1, 0]]
    assert walks((False, True), 3) is walks((False, True), 3)
    assert layer_scan._shared(384, 1, 93, 2) == (64, 64)
