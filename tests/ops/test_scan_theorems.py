"""The scan against mathematics that owes nothing to its code."""

from __future__ import annotations

import pytest
import torch

from mambaout.ops import plain_selective_scan, scan_states, selective_scan

B, D, L, N = 2, 3, 7, 4


@pytest.fixture
def scan_inputs():
    rng = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, dtype=torch.float64, generator=rng)

    delta, rate = draw(B, D, L).exp(), -draw(D, N).exp()
    return {"u": draw(B, D, L), "delta": delta, "A": rate, "B": draw(B, N, L), "C": draw(B, N, L)}


@pytest.fixture(params=[selective_scan, plain_selective_scan], ids=["fast", "plain"])
def scan(request):
    return request.param


def test_constant_parameters_make_a_causal_convolution(scan, scan_inputs):
    x = {k: v if k in "uA" else v[..., :1].expand_as(v) for k, v in scan_inputs.items()}
    x["delta"] = x["delta"][:1, :1].expand(B, D, L)
    step = x["delta"][0, 0, 0]
    lags = torch.arange(L, dtype=torch.float64)
    decay = torch.exp(step * lags[:, None, None] * x["A"])  # (l, d, n)
    kernel = torch.einsum("bn,ldn,bn->bdl", x["C"][..., 0], decay, step * x["B"][..., 0])
    expected = torch.stack(
        [(kernel[..., : t + 1].flip(-1) * x["u"][..., : t + 1]).sum(-1) for t in range(L)], dim=-1
    )
    torch.testing.assert_close(scan(**x), expected)


def test_zero_step_freezes_the_state(scan, scan_inputs):
    assert scan(**scan_inputs).abs().min() > 0
    y = scan(**scan_inputs | {"delta": torch.zeros(B, D, L, dtype=torch.float64)})
    assert torch.equal(y, torch.zeros_like(y))


def test_output_is_the_attention_it_implies_times_its_input(scan, scan_inputs):
    """Ali et al. 2024, arXiv:2403.01590: alpha_ts = C_t exp(A sum of steps after s) Δ_s B_s."""
    u, delta, A, B_, C = scan_inputs.values()
    total = delta.cumsum(-1)  # (b, d, l)
    exponent = (total[..., :, None] - total[..., None, :])[..., None] * A[:, None, None]
    past = torch.ones(L, L).tril().bool()
    decay = torch.where(past[..., None], exponent, -torch.inf).exp()  # (b, d, t, s, n)
    alpha = torch.einsum("bnt,bdtsn,bds,bns->bdts", C, decay, delta, B_)
    expected = torch.einsum("bdts,bds->bdt", alpha, u)
    torch.testing.assert_close(scan(**scan_inputs), expected)


def test_gradients(scan, scan_inputs):
    inputs = [t.requires_grad_() for t in scan_inputs.values()]
    assert torch.autograd.gradcheck(scan, inputs)


def test_keeps_the_dtype_of_its_input(scan, scan_inputs):
    half = {k: v.bfloat16() for k, v in scan_inputs.items()}
    assert scan(**half).dtype is torch.bfloat16


def test_names_the_argument_whose_shape_is_wrong(scan, scan_inputs):
    with pytest.raises(ValueError, match=r"B must be \(b=2, n=4, l=7\), got shape \(2, 7, 4\)"):
        scan(**scan_inputs | {"B": scan_inputs["B"].mT})


def test_states_answer_to_the_recurrence(scan_inputs):
    u, delta, A, B_, _ = scan_inputs.values()
    h = scan_states(u, delta, A, B_)
    t = 4
    decayed = torch.exp(delta[..., t, None] * A) * h[:, :, t - 1]
    added = (delta[..., t] * u[..., t])[..., None] * B_[:, None, :, t]
    assert decayed.abs().max() > 1e-3
    torch.testing.assert_close(h[:, :, t], decayed + added)
