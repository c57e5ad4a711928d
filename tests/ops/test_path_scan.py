"""Several paths in one call, and the fused kernels against the plain recurrence."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from mambaout.ops import numba_scan, path_scan, plain_selective_scan
from mambaout.ops.path_scan import time_major_scan

FORMS = {
    "numba": numba_scan.scan,
    "time-major": time_major_scan,
}
NAMES = ("u", "delta", "A", "B", "C", "D", "delta_bias")


def draw(k=2, b=2, length=37, d=48, n=5, seed=0):
    rng = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=rng)

    return {
        "u": normal(k, b, length, d),
        "delta": normal(k, b, length, d),
        "A": -normal(k, d, n).exp(),
        "B": normal(k, b, length, n),
        "C": normal(k, b, length, n),
        "D": normal(k, d),
        "delta_bias": normal(k, d) - 2,
    }


def plain(x, reverse):
    """Path after path, flipped where it runs backward, through the plain recurrence in float64."""
    ys = []
    for k, back in enumerate(reverse):
        u, delta, A, B, C, D, bias = (x[name][k].double() for name in NAMES)

        def along(t, back=back):
            return (t.flip(1) if back else t).mT

        y = plain_selective_scan(
            along(u), along(delta), A, along(B), along(C), D, delta_bias=bias, delta_softplus=True
        ).mT
        ys.append(y.flip(1) if back else y)
    return torch.stack(ys)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("reverse", [(False, True), (True, True), (False, False)], ids=str)
@pytest.mark.parametrize("length", [1, 2, 31, 32, 33, 63, 197])
def test_equals_the_plain_recurrence(form, reverse, length):
    x = draw(length=length)
    expected = plain(x, reverse)
    y = FORMS[form](*x.values(), reverse, softplus=True)
    assert (y - expected).abs().max() <= 2e-6 * expected.abs().max()


def test_a_path_that_runs_backward_differs():
    x = draw()
    forward, backward = plain(x, (False, False)), plain(x, (True, True))
    assert (forward - backward).abs().max() > 0.1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("b", "length", "d", "n"),
    [
        (2, 41, 3, 1), (2, 41, 64, 16), (1, 1, 96, 16), (1, 16, 128, 1), (2, 17, 48, 2),
        (1, 33, 17, 4), (3, 2, 192, 8), (1, 40, 384, 32),
    ],
)  # fmt: skip
def test_gradients_equal_those_of_the_plain_recurrence(form, b, length, d, n):
    x = draw(b=b, length=length, d=d, n=n)
    exact = {name: t.double().requires_grad_() for name, t in x.items()}
    fast = {name: t.clone().requires_grad_() for name, t in x.items()}
    reverse = (False, True)
    dout = torch.randn(x["u"].shape)
    plain(exact, reverse).backward(dout.double())
    FORMS[form](*fast.values(), reverse, softplus=True).backward(dout)
    for name in NAMES:
        expected = exact[name].grad
        error = (fast[name].grad - expected).abs().max()
        assert error <= 1e-5 * expected.abs().max(), name


@pytest.mark.parametrize("form", FORMS)
def test_strides_are_the_callers(form):
    """Channels before tokens, paths after channels, B and C cut out of a wider projection."""
    x = draw(k=3, b=2, length=20, d=32, n=4)
    reverse = (True, False, True)
    expected = plain(x, reverse)
    strided = x | {
        "u": x["u"].mT.contiguous().mT,
        "delta": x["delta"].permute(1, 2, 3, 0).contiguous().permute(3, 0, 1, 2),
        "A": x["A"].mT.contiguous().mT,
        "B": F.pad(x["B"], (3, 5))[..., 3:-5],
        "C": x["C"].permute(1, 3, 2, 0).contiguous().permute(3, 0, 2, 1),
        "D": x["D"].mT.contiguous().mT,
    }
    assert not any(strided[name].is_contiguous() for name in ("u", "delta", "A", "B", "C", "D"))
    fast = {name: t.clone(memory_format=torch.preserve_format) for name, t in strided.items()}
    leaves = [t.requires_grad_() for t in fast.values()]
    y = FORMS[form](*leaves, reverse, softplus=True)
    assert (y - expected).abs().max() <= 2e-6 * expected.abs().max()
    exact = {name: t.double().requires_grad_() for name, t in x.items()}
    dout = torch.randn(2, 20, 32, 3).permute(3, 0, 1, 2)
    plain(exact, reverse).backward(dout.double())
    y.backward(dout)
    for name, leaf in zip(NAMES, leaves, strict=True):
        error = (leaf.grad - exact[name].grad).abs().max() / exact[name].grad.abs().max()
        assert error <= 1e-5, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(dtype):
    """What comes in half precision is computed in single, and only the result is rounded."""
    x = draw()
    x = {name: t.to(dtype) for name, t in x.items()}
    leaves = {name: t.clone().requires_grad_() for name, t in x.items()}
    single = {name: t.float().requires_grad_() for name, t in x.items()}
    reverse = (False, True)
    y = path_scan(*leaves.values(), reverse)
    expected = path_scan(*single.values(), reverse)
    assert torch.equal(y, expected.to(dtype))
    dout = torch.randn(y.shape).to(dtype)
    y.backward(dout)
    expected.backward(dout.float())
    assert all(torch.equal(leaves[name].grad, single[name].grad.to(dtype)) for name in NAMES)


def test_threads_do_not_change_a_bit(monkeypatch):
    x = draw(b=3, d=192)
    for t in x.values():
        t.requires_grad_()
    results = []
    for threads in (1, 2, 5):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        y = path_scan(*x.values(), (False, True))
        results.append((y, *torch.autograd.grad(y.square().sum(), list(x.values()))))
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_kernel_states_equal_the_plain_ones():
    x = draw()
    step = F.softplus(x["delta"])
    kept = numba_scan.states(x["u"], step, x["A"], x["B"], (False, True))  # (k, b, l, n, d)
    again = torch.einsum("kblnd,kbln->kbld", kept, x["C"])
    zero = torch.zeros_like(x["D"])
    y = time_major_scan(
        x["u"], step, x["A"], x["B"], x["C"], zero, zero, (False, True), softplus=False
    )
    torch.testing.assert_close(again, y, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_a_number_that_is_none_is_not_hidden(form):
    x = draw()
    x["u"][0, 0, 20, 7] = torch.nan
    y = FORMS[form](*x.values(), (False, False), softplus=True)
    assert torch.isnan(y[0, 0, 20:, 7]).all()
    assert torch.isfinite(y[0, 0, :20]).all()


@pytest.mark.parametrize("form", FORMS)
def test_extreme_steps_stay_finite(form):
    """exp of a cumulative sum overflows here; a scan must not take one."""
    x = draw(length=500)
    x["delta"] = x["delta"] * 30
    y = FORMS[form](*x.values(), (False, True), softplus=True)
    assert torch.isfinite(y).all()
    expected = plain(x, (False, True))
    assert (y - expected).abs().max() <= 1e-5 * expected.abs().max()
