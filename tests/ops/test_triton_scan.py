"""The GPU kernels against the plain recurrence, on a GPU or in Triton's interpreter."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from mambaout.ops import ScanInputs, plain_selective_scan, scan_states, triton_scan
from mambaout.ops.plain_scan import scan_states as plain_scan_states
from mambaout.ops.scan_summary import plain_scan_summary, scan_summary
from tests.ops.test_path_scan import NAMES, draw, plain

ODD = {"k": 2, "b": 1, "length": 33, "d": 17, "n": 3}


@pytest.fixture
def processors(triton_device, monkeypatch):
    """Makes the device seem to have so many multiprocessors, or as many as give 4 segments."""
    from mambaout.ops import triton_launch

    def set_to(count):
        monkeypatch.setattr(triton_launch, "processors", lambda _: count)
        return triton_device

    monkeypatch.setattr(triton_launch, "LEAST_TOKENS", 2)
    return set_to


def largest_error(got, expected):
    return (got.detach().cpu() - expected).abs().max() / expected.abs().max()


ONE_SEGMENT, SEVERAL = 0, 4


@pytest.mark.parametrize("count", [ONE_SEGMENT, SEVERAL])
@pytest.mark.parametrize(
    "shape",
    [
        ODD,
        {"k": 2, "b": 2, "length": 1, "d": 32, "n": 1},
        {"k": 4, "b": 1, "length": 9, "d": 3, "n": 1},
        {"k": 2, "b": 1, "length": 6, "d": 33, "n": 16},
        {"k": 2, "b": 2, "length": 5, "d": 8, "n": 2},
        {"k": 2, "b": 1, "length": 4, "d": 2, "n": 32},
    ],
    ids=str,
)
def test_output_and_gradients_equal_those_of_the_plain_recurrence(processors, shape, count):
    device = processors(count)
    x = draw(**shape)
    reverse = (False, True) * (shape["k"] // 2)
    exact = {name: t.double().requires_grad_() for name, t in x.items()}
    fast = {name: t.to(device).requires_grad_() for name, t in x.items()}
    expected = plain(exact, reverse)
    y = triton_scan.scan(*fast.values(), reverse, softplus=True)
    assert largest_error(y, expected.detach()) <= 2e-6
    dout = torch.randn(y.shape)
    expected.backward(dout.double())
    y.backward(dout.to(device))
    for name in NAMES:
        gradient = exact[name].grad
        if gradient.abs().max() == 0:  # one token: its state never decayed, A has no say
            assert fast[name].grad.abs().max() == 0
        else:
            assert largest_error(fast[name].grad, gradient) <= 1e-5, name


def test_several_segments_are_several(processors):
    from mambaout.ops.triton_launch import _Call

    x = draw(**ODD)
    arguments = [x[name] for name in ("u", "delta", "A", "B", "C", "delta_bias")]
    for count, segments in ((ONE_SEGMENT, 1), (SEVERAL, 11)):
        device = processors(count)
        call = _Call.of(*(t.to(device) for t in arguments), (False, True), softplus=True)
        assert call.cut()[0] == segments


@pytest.mark.parametrize(
    ("programs", "length", "processors", "expected"),
    [
        (24, 197, 132, 12),  # Vim-Tiny, one picture, both directions: segments of 17 tokens
        (12, 3136, 132, 88),  # VMamba-T, first stage, one picture: 36 tokens
        (192, 197, 132, 5),
        (768, 197, 132, 1),  # 32 pictures fill the device
        (24, 20, 132, 1),  # too few tokens to cut
        (1, 7057, 1, 8),
    ],
)
def test_the_rule_of_segments(triton_device, programs, length, processors, expected):
    from mambaout.ops.triton_launch import segments_of

    assert segments_of(programs, length, processors) == expected


@pytest.mark.parametrize("count", [ONE_SEGMENT, SEVERAL])
def test_tensors_need_not_be_contiguous(processors, count):
    """Views as layers make them: a slice of a projection, channels before tokens, one for all."""
    device = processors(count)
    x = {name: t.to(device) for name, t in draw(k=2, b=2, length=5, d=8, n=2).items()}
    expected = triton_scan.scan(*x.values(), (False, True), softplus=True)
    x["u"] = torch.cat([x["u"], x["u"]], -1)[..., 8:]
    x["delta"] = x["delta"].mT.contiguous().mT
    x["B"] = torch.cat([x["C"], x["B"]], -1)[..., 2:]
    x["C"] = x["C"].permute(3, 0, 1, 2).contiguous().permute(1, 2, 3, 0)
    leaves = {name: t.detach().requires_grad_() for name, t in x.items()}
    y = triton_scan.scan(*leaves.values(), (False, True), softplus=True)
    assert torch.equal(y, expected)
    y.sum().backward()  # its gradient is one number with strides of zero
    exact = {name: t.detach().cpu().double().requires_grad_() for name, t in x.items()}
    plain(exact, (False, True)).sum().backward()
    for name in NAMES:
        assert largest_error(leaves[name].grad, exact[name].grad) <= 1e-5, name


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(processors, dtype):
    device = processors(ONE_SEGMENT)
    x = {name: t.to(device, dtype) for name, t in draw(k=2, b=1, length=5, d=8, n=2).items()}
    single = {name: t.float().requires_grad_() for name, t in x.items()}
    half = {name: t.requires_grad_() for name, t in x.items()}
    expected = triton_scan.scan(*single.values(), (False, True), softplus=True)
    y = triton_scan.scan(*half.values(), (False, True), softplus=True)
    # Triton's interpreter cuts digits off where a GPU rounds to the nearest.
    close = {"rtol": torch.finfo(dtype).eps, "atol": 1e-6}
    assert y.dtype == dtype
    torch.testing.assert_close(y.float(), expected, **close)
    dout = torch.randn_like(y)
    y.backward(dout)
    expected.backward(dout.float())
    for name in NAMES:
        assert half[name].grad.dtype == dtype
        torch.testing.assert_close(half[name].grad.float(), single[name].grad, **close)


def test_weights_that_are_frozen_get_no_gradient(processors):
    device = processors(SEVERAL)
    x = {name: t.to(device) for name, t in draw(k=2, b=1, length=9, d=8, n=2).items()}
    all_of_them = {name: t.clone().requires_grad_() for name, t in x.items()}
    triton_scan.scan(*all_of_them.values(), (True, True), softplus=True).square().sum().backward()
    x["u"].requires_grad_()
    triton_scan.scan(*x.values(), (True, True), softplus=True).square().sum().backward()
    assert torch.equal(x["u"].grad, all_of_them["u"].grad)
    assert x["A"].grad is None


@pytest.mark.parametrize("count", [ONE_SEGMENT, SEVERAL])
def test_extreme_steps_stay_finite(processors, count):
    """exp of a cumulative sum overflows here; a scan must not take one."""
    device = processors(count)
    x = draw(k=2, b=1, length=40, d=4, n=2)
    x["delta"] = x["delta"] * 100
    exact = {name: t.double().requires_grad_() for name, t in x.items()}
    fast = {name: t.to(device).requires_grad_() for name, t in x.items()}
    expected = plain(exact, (False, True))
    y = triton_scan.scan(*fast.values(), (False, True), softplus=True)
    assert largest_error(y, expected.detach()) <= 1e-5
    dout = torch.randn(y.shape)
    expected.backward(dout.double())
    y.backward(dout.to(device))
    for name in NAMES:
        assert torch.isfinite(fast[name].grad).all()
        assert largest_error(fast[name].grad, exact[name].grad) <= 1e-5, name


def test_a_number_that_is_none_is_not_hidden(processors):
    device = processors(SEVERAL)
    x = {name: t.to(device) for name, t in draw(k=1, b=1, length=20, d=8, n=2).items()}
    x["u"][0, 0, 11, 7] = torch.nan
    y = triton_scan.scan(*x.values(), (False,), softplus=True)
    assert torch.isnan(y[0, 0, 11:, 7]).all()
    assert torch.isfinite(y[0, 0, :11]).all()
    assert torch.isfinite(y[..., :7]).all()


def scan_inputs(device, b=2, d=35, n=3, length=9):
    x = draw(k=1, b=b, length=length, d=d, n=n)
    return ScanInputs(
        path="forward",
        order=torch.arange(length),
        u=x["u"][0].mT.to(device),
        delta=(x["delta"][0].mT.exp() / 4).to(device),
        A=x["A"][0].to(device),
        B=x["B"][0].mT.to(device),
        C=x["C"][0].mT.to(device),
        D=x["D"][0].to(device),
    )


@pytest.fixture
def on_gpu(monkeypatch):
    """What a CUDA device would choose, also where its kernels are interpreted."""
    monkeypatch.setattr("mambaout.ops.numba_scan.supports", lambda _: False)
    monkeypatch.setattr("mambaout.ops.triton_scan.supports", lambda u: u.dtype != torch.float64)


@pytest.mark.parametrize("count", [ONE_SEGMENT, SEVERAL])
def test_summary_and_states(processors, on_gpu, count, monkeypatch):
    inputs = scan_inputs(processors(count))
    tensors = {name: t for name, t in vars(inputs).items() if name in {*"ABCD", "u", "delta"}}
    exact = replace(inputs, **{name: t.cpu().double() for name, t in tensors.items()})
    expected = plain_scan_summary(exact)
    states = plain_scan_states(exact.u, exact.delta, exact.A, exact.B)
    kept = scan_states(inputs.u, inputs.delta, inputs.A, inputs.B)
    assert kept.shape == states.shape
    assert largest_error(kept, states) <= 1e-6
    # Where only sums are asked for, the states must not be written.
    monkeypatch.setattr("mambaout.ops.triton_launch.states", None)
    for name, got in scan_summary(inputs)._asdict().items():
        assert largest_error(got, getattr(expected, name)) <= 2e-6, name


def test_states_of_groups_and_with_a_gradient(processors, on_gpu):
    inputs = scan_inputs(processors(ONE_SEGMENT), d=4, length=5)
    B = torch.stack([inputs.B, inputs.B.flip(-1)], 1)
    expected = plain_scan_states(inputs.u, inputs.delta, inputs.A, B)
    got = scan_states(inputs.u, inputs.delta, inputs.A, B)
    torch.testing.assert_close(got, expected)
    u = inputs.u.clone().requires_grad_()
    scan_states(u, inputs.delta, inputs.A, B).sum().backward()
    assert u.grad.abs().min() > 0


def test_a_path_too_many_is_refused(triton_device):
    x = {name: t.to(triton_device) for name, t in draw(k=33, b=1, length=1, d=2, n=1).items()}
    with pytest.raises(ValueError, match="only the first 31 paths may run backward, got 33"):
        triton_scan.scan(*x.values(), (False,) * 32 + (True,), softplus=True)


# opcheck looks at the gradients of copies that are no leaves
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
def test_torch_compile_sees_one_operation(processors, on_gpu):
    device = processors(ONE_SEGMENT)
    x = {name: t.to(device) for name, t in draw(k=2, b=1, length=3, d=4, n=2).items()}
    graphs = []

    def keep(graph, _):
        graphs.append(graph)
        return graph.forward

    def scan(*tensors):
        return triton_scan.scan(*tensors, (False, True), softplus=True) * 2

    expected = scan(*x.values())
    x["u"].requires_grad_()
    y = torch.compile(scan, backend=keep, fullgraph=True)(*x.values())
    called = [str(node.target) for node in graphs[0].graph.nodes if node.op == "call_function"]
    assert [name for name in called if "triton_scan" in name] == ["mambaout.triton_scan.default"]
    assert torch.equal(y, expected)
    torch.library.opcheck(triton_scan.triton_scan, (*x.values(), [False, True], True))


def test_selective_scan_keeps_its_meaning(processors, on_gpu):
    from mambaout.ops import selective_scan

    inputs = scan_inputs(processors(ONE_SEGMENT), d=4, length=5)
    arguments = {
        "u": inputs.u, "delta": inputs.delta, "A": inputs.A, "D": inputs.D, "z": inputs.u.flip(-1),
        "B": torch.stack([inputs.B, inputs.B.flip(-1)], 1), "C": inputs.C,
    }  # fmt: skip
    for softplus in (False, True):
        expected = plain_selective_scan(**arguments, delta_softplus=softplus)
        torch.testing.assert_close(selective_scan(**arguments, delta_softplus=softplus), expected)
