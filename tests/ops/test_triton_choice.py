"""Who gets Triton's kernels, and who never hears of Triton."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from mambaout.ops import numba_scan, path_scan, triton_scan
from mambaout.ops.path_scan import fastest, fused_states, time_major_scan
from tests.ops.test_path_scan import draw

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def forget():
    triton_scan._why_not.cache_clear()
    yield
    triton_scan._why_not.cache_clear()


def fake(device, dtype=torch.float32):
    with FakeTensorMode():
        return torch.empty(2, 1, 3, 4, dtype=dtype, device=device)


@pytest.mark.parametrize("device", ["mps", "xpu", "meta"])
def test_other_devices_keep_plain_torch(device):
    u = torch.empty(1, device="meta") if device == "meta" else fake(device)
    assert fastest(u) is time_major_scan
    assert fused_states(u) is None


def test_a_cuda_device_gets_triton(monkeypatch):
    monkeypatch.setattr(triton_scan, "find_spec", lambda _: object())
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        assert fastest(fake("cuda", dtype)) is triton_scan.scan
    assert fastest(fake("cuda", torch.float64)) is time_major_scan
    assert fastest(torch.empty(1)) is numba_scan.scan


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("triton", "Triton is not installed"),
        ("compiler", "no gcc or clang"),
        ("capability", "compute capability 6.1"),
    ],
)
def test_what_keeps_triton_from_a_gpu_is_said_once(monkeypatch, recwarn, missing, reason):
    monkeypatch.setattr(triton_scan, "find_spec", lambda _: None if missing == "triton" else 1)
    monkeypatch.setattr(triton_scan.shutil, "which", lambda _: None)
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    capability = (6, 1) if missing == "capability" else (8, 0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    u = fake("cuda")
    with pytest.warns(UserWarning, match=reason):
        assert fastest(u) is time_major_scan
    assert fastest(u) is time_major_scan  # a second warning would be an error
    if missing == "compiler":
        triton_scan._why_not.cache_clear()
        monkeypatch.setenv("CC", "cc")
        assert fastest(u) is triton_scan.scan


def test_shapes_and_devices_are_known_without_running(monkeypatch):
    """As torch.export and torch.compile ask: no kernel runs, and no GPU is there."""
    monkeypatch.setattr(triton_scan, "find_spec", lambda _: object())
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with FakeTensorMode() as mode:
        x = {name: mode.from_tensor(t).to("cuda") for name, t in draw(d=5, n=3).items()}
        x["u"] = x["u"].half()
        y = path_scan(*x.values(), (False, True))
        assert (y.shape, y.dtype, y.device) == (x["u"].shape, torch.float16, x["u"].device)
        gradients = triton_scan.triton_scan_backward(y, *x.values(), [False, True], True, True)
        in_order = [x[name] for name in ("u", "delta", "B", "C", "A", "D", "delta_bias")]
        for gradient, t in zip(gradients, in_order, strict=True):
            assert (gradient.shape, gradient.dtype, gradient.device) == (t.shape, t.dtype, t.device)


def test_without_triton_nothing_is_missed():
    """As on Windows and macOS."""
    program = """
        import sys
        sys.modules["triton"] = None
        import torch, mambaout
        from mambaout.ops import path_scan, scan_states, selective_scan
        x = torch.ones(1, 2, 3)
        assert torch.isfinite(selective_scan(x, x, -torch.ones(2, 1), x[:, :1], x[:, :1])).all()
        assert not [name for name in sys.modules if name.startswith("mambaout.ops.triton_")
                    and name != "mambaout.ops.triton_scan"]
    """
    lines = "\n".join(line.strip() for line in program.strip().splitlines())
    done = subprocess.run(
        [sys.executable, "-c", lines], check=False, capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
