"""The summary of a scan, fused and plain, against all of its states."""

from __future__ import annotations

import math

import pytest
import torch

from mambaout.ops import ScanInputs, scan_states
from mambaout.ops.scan_summary import plain_scan_summary, scan_summary


def draw(b, d, n, length, dtype=torch.float32):
    rng = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=rng).to(dtype)

    return ScanInputs(
        path="forward",
        order=torch.arange(length),
        u=normal(b, d, length),
        delta=normal(b, d, length).exp() / 4,
        A=-normal(d, n).exp(),
        B=normal(b, n, length),
        C=normal(b, n, length),
        D=normal(d),
    )


@pytest.fixture(params=[scan_summary, plain_scan_summary], ids=["fused", "plain"])
def summary(request):
    return request.param


@pytest.mark.parametrize("shape", [(1, 48, 16, 197), (2, 5, 3, 9), (3, 64, 1, 2), (1, 1, 1, 1)])
def test_the_summary_is_that_of_all_states(summary, shape):
    inputs = draw(*shape)
    states = scan_states(*(t.double() for t in (inputs.u, inputs.delta, inputs.A, inputs.B)))
    got = summary(inputs)
    decay = torch.exp(inputs.delta.double()[..., None] * inputs.A.double()[:, None])
    u, delta, A, B = (t.double() for t in (inputs.u, inputs.delta, inputs.A, inputs.B))
    drive = torch.einsum("bdl,bnl,bdl->bdln", delta, B, u)
    expected = {
        "delta": delta.mean(1),
        "half_life": math.log(2) / (delta[..., None] * A.abs()[:, None]).mean((1, 3)),
        "write": drive.square().sum((1, 3)).sqrt(),
        "retention": decay.mean((1, 3)),
        "state_norm": states.square().sum((1, 3)).sqrt(),
        "read": (states * inputs.C.double().mT[:, None]).sum(3).square().sum(1).sqrt(),
    }
    assert set(expected) == set(got._fields)
    for name, values in expected.items():
        assert getattr(got, name).dtype == torch.float32
        torch.testing.assert_close(getattr(got, name).double(), values, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(summary, dtype):
    inputs = draw(1, 32, 8, 50, dtype)
    single = ScanInputs(
        **{k: v.float() if torch.is_tensor(v) else v for k, v in vars(inputs).items()}
    )
    for got, expected in zip(summary(inputs), summary(single), strict=True):
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_a_state_that_is_not_a_number_stays_so(summary):
    inputs = draw(1, 16, 4, 10)
    inputs.u[0, 3, 5] = torch.nan
    got = summary(inputs)
    assert got.state_norm[0, :5].isfinite().all()
    assert got.state_norm[0, 5:].isnan().all()


def test_float64_stays_float64():
    assert scan_summary(draw(1, 4, 2, 3, torch.float64)).read.dtype == torch.float64
