"""On a real GPU: the shapes of the families, against the plain recurrence in float64."""

from __future__ import annotations

import pytest
import torch

from mambaout.ops import triton_scan
from mambaout.ops.path_scan import fastest
from tests.ops.test_path_scan import NAMES, draw, plain

pytestmark = pytest.mark.gpu

# k paths, b pictures, l tokens, d channels, n numbers of the state
SHAPES = {
    "Vim-Tiny at 224": {"k": 2, "b": 1, "length": 197, "d": 384, "n": 16},
    "Vim-Tiny at 512": {"k": 2, "b": 1, "length": 1025, "d": 384, "n": 16},
    "Vim-Tiny, many": {"k": 2, "b": 33, "length": 197, "d": 384, "n": 16},
    "VMamba-T, stage 1": {"k": 4, "b": 1, "length": 3136, "d": 96, "n": 1},
    "VMamba-T, stage 4": {"k": 4, "b": 8, "length": 49, "d": 768, "n": 1},
    "MambaVision": {"k": 1, "b": 4, "length": 49, "d": 160, "n": 8},
    "EfficientVMamba": {"k": 4, "b": 2, "length": 784, "d": 48, "n": 4},
    "odd": {"k": 3, "b": 2, "length": 61, "d": 77, "n": 5},
    "wide": {"k": 1, "b": 2, "length": 40, "d": 32, "n": 32},
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_families_shapes(name, dtype):
    drawn = {key: t.cuda().to(dtype) for key, t in draw(**SHAPES[name]).items()}
    reverse = tuple(path % 2 == 1 for path in range(SHAPES[name]["k"]))
    assert fastest(drawn["u"]) is triton_scan.scan
    exact = {key: t.double().requires_grad_() for key, t in drawn.items()}
    fast = {key: t.requires_grad_() for key, t in drawn.items()}
    expected = plain(exact, reverse)
    y = triton_scan.scan(*fast.values(), reverse, softplus=True)
    values, gradients = (2e-6, 1e-5) if dtype == torch.float32 else (torch.finfo(dtype).eps,) * 2
    assert (y - expected).abs().max() <= values * expected.abs().max()
    dout = torch.randn_like(y)
    expected.backward(dout.double())
    y.backward(dout)
    for key in NAMES:
        error = (fast[key].grad - exact[key].grad).abs().max() / exact[key].grad.abs().max()
        assert error <= gradients, key


def test_every_run_gives_the_same_bits():
    x = {key: t.cuda().requires_grad_() for key, t in draw(**SHAPES["Vim-Tiny at 224"]).items()}
    runs = []
    for _ in range(2):
        y = triton_scan.scan(*x.values(), (False, True), softplus=True)
        runs.append((y, *torch.autograd.grad(y.square().sum(), list(x.values()))))
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


def test_torch_compile_gives_the_same():
    x = {key: t.cuda().requires_grad_() for key, t in draw(**SHAPES["odd"]).items()}

    def scan(*tensors):
        return triton_scan.scan(*tensors, (True, False, True), softplus=True).square()

    expected, y = scan(*x.values()), torch.compile(scan, fullgraph=True)(*x.values())
    torch.testing.assert_close(y, expected)
    gradients = [torch.autograd.grad(out.sum(), list(x.values())) for out in (expected, y)]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)
