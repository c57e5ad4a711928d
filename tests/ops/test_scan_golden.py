"""Every form of the scan against the numbers of mamba-ssm's own reference."""

from __future__ import annotations

import pytest
import torch

from mambaout.ops import (
    numba_scan,
    plain_selective_scan,
    scan_states,
    selective_scan,
    triton_scan,
)
from mambaout.ops.plain_scan import step_size
from tests.models.golden import load_golden, relative_error

GRID, GRID_TENSORS = load_golden("selective_scan_grid")
GRAD, GRAD_TENSORS = load_golden("selective_scan_grad")


@pytest.fixture(params=["plain", "numba", "time-major"])
def scan(request, monkeypatch):
    """Each form, called as its users call it."""
    if request.param == "plain":
        return plain_selective_scan
    if request.param == "time-major":
        monkeypatch.setattr(numba_scan, "supports", lambda u: False)
    return selective_scan


def inputs_of(tensors, case):
    prefix = f"{case}.in."
    return {k.removeprefix(prefix): v.clone() for k, v in tensors.items() if k.startswith(prefix)}


def run(scan, x, softplus):
    return scan(
        *(x[name] for name in ("u", "delta", "A", "B", "C")),
        x.get("D"),
        z=x.get("z"),
        delta_bias=x.get("delta_bias"),
        delta_softplus=softplus,
    )


def describe(meta, case):
    entry = meta["cases"][case]
    return f"{case}-{entry['form']}-l{entry['L']}-{entry['regime']}"


@pytest.mark.parametrize("case", GRID["cases"], ids=lambda case: describe(GRID, case))
def test_output(scan, case):
    x = inputs_of(GRID_TENSORS, case)
    y = run(scan, x, GRID["cases"][case]["softplus"])
    assert relative_error(y, GRID_TENSORS[f"{case}.out"]) <= GRID["tolerance"]


# One case of each length and way of giving B and C, and the regimes; long ones take the interpreter
# a minute.
ON_A_GPU = {
    (entry["form"], entry["L"] > 1, entry["regime"]): case
    for case, entry in GRID["cases"].items()
    if entry["L"] <= 7 or (entry["form"] == "bgnl_g2" and entry["regime"] == "spiky")
}.values()


@pytest.mark.parametrize("case", ON_A_GPU, ids=lambda case: describe(GRID, case))
def test_output_on_a_gpu(case, triton_device, monkeypatch):
    """Or in Triton's interpreter."""
    monkeypatch.setattr(numba_scan, "supports", lambda _: False)
    monkeypatch.setattr(triton_scan, "supports", lambda _: True)
    x = {name: t.to(triton_device) for name, t in inputs_of(GRID_TENSORS, case).items()}
    y = run(selective_scan, x, GRID["cases"][case]["softplus"]).cpu()
    assert relative_error(y, GRID_TENSORS[f"{case}.out"]) <= GRID["tolerance"]


@pytest.mark.parametrize("case", ["000", "004", "008"], ids=lambda case: describe(GRAD, case))
def test_gradients_on_a_gpu(case, triton_device, monkeypatch):
    monkeypatch.setattr(numba_scan, "supports", lambda _: False)
    monkeypatch.setattr(triton_scan, "supports", lambda _: True)
    check_gradients(selective_scan, case, triton_device)


@pytest.mark.parametrize("case", GRID["cases"], ids=lambda case: describe(GRID, case))
def test_last_state(case):
    x = inputs_of(GRID_TENSORS, case)
    step = step_size(x["delta"], x.get("delta_bias"), GRID["cases"][case]["softplus"])
    last = scan_states(x["u"], step, x["A"], x["B"])[:, :, -1]
    assert relative_error(last, GRID_TENSORS[f"{case}.last_state"]) <= GRID["tolerance"]


@pytest.mark.parametrize("case", GRAD["cases"], ids=lambda case: describe(GRAD, case))
def test_gradients(scan, case):
    check_gradients(scan, case, torch.device("cpu"))


def check_gradients(scan, case, device):
    x = {name: t.to(device) for name, t in inputs_of(GRAD_TENSORS, case).items()}
    dout = x.pop("dout")
    for tensor in x.values():
        tensor.requires_grad_()
    run(scan, x, GRAD["cases"][case]["softplus"]).backward(dout)
    recorded = [k for k in GRAD_TENSORS if k.startswith(f"{case}.grad.")]
    assert len(recorded) >= 5
    for key in recorded:
        gradient = x[key.rsplit(".", 1)[1]].grad
        gradient = gradient if gradient is None else gradient.cpu()
        expected = GRAD_TENSORS[key]
        if expected.abs().max() == 0:  # one token: its state never decayed, A has no say
            assert gradient is None or gradient.abs().max() == 0
        else:
            assert relative_error(gradient, expected) <= GRAD["tolerance"], key


def test_kernels_write_the_last_state_too():
    case = next(c for c, m in GRID["cases"].items() if m["L"] == 64 and m["form"] == "bnl")
    x = inputs_of(GRID_TENSORS, case)
    step = step_size(x["delta"], x.get("delta_bias"), GRID["cases"][case]["softplus"])
    kept = numba_scan.states(
        x["u"].mT[None], step.mT[None], x["A"][None], x["B"].mT[None], (False,)
    )
    last = kept[0, :, -1].mT  # (b, d, n)
    expected = GRID_TENSORS[f"{case}.last_state"]
    assert relative_error(last, expected) <= GRID["tolerance"]
    assert torch.isfinite(kept).all()
