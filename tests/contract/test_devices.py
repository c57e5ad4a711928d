"""Every family on a CUDA device that is not there: all tensors must meet on it.

Tensors without numbers know their device and refuse to meet others; what runs on them runs on the
device too, as far as that depends on where tensors are.
"""

from __future__ import annotations

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.func import functional_call

import mambaout
from mambaout.models.mixing import why_no_causal_form
from mambaout.ops import triton_scan
from tests.contract.families import HEIGHT, SMALL, WIDTH, architectures, family, small


@pytest.fixture(autouse=True)
def a_cuda_device(monkeypatch):
    monkeypatch.setattr(triton_scan, "supports", lambda u: u.device.type == "cuda")


def one_of(kind):
    return small(next(name for name in architectures() if family(name) == kind), num_classes=5)


def on_cuda(model, dtype, image):
    """What ``model`` answers to ``image`` if both are on a CUDA device."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad(), FakeTensorMode() as mode:
        there = {
            name: mode.from_tensor(t).to("cuda", dtype if t.is_floating_point() else None)
            for name, t in tensors.items()
        }
        return functional_call(model, there, (mode.from_tensor(image).to("cuda", dtype),))


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_forward_pass_stays_on_the_device(kind, dtype):
    model = one_of(kind).eval()
    logits = on_cuda(model, dtype, torch.randn(2, 3, HEIGHT, WIDTH))
    assert (logits.shape, logits.dtype, logits.device.type) == ((2, 5), dtype, "cuda")


@pytest.mark.parametrize("kind", SMALL)
def test_so_does_its_causal_view(kind):
    model = one_of(kind).eval()
    if why_no_causal_form(model) is not None:
        with pytest.raises(TypeError):
            mambaout.with_mixing(model, "causal")
        return
    view = mambaout.with_mixing(model, "causal")
    assert on_cuda(view, torch.float32, torch.randn(1, 3, HEIGHT, WIDTH)).device.type == "cuda"


def test_a_tensor_left_on_the_cpu_is_noticed():
    class Forgetful(torch.nn.Module):
        def forward(self, x):
            return x + torch.arange(x.shape[-1])

    with pytest.raises(RuntimeError, match=r"[Dd]evice"):
        on_cuda(Forgetful(), torch.float32, torch.randn(1, 3, 4, 5))
