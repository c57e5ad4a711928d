"""What can be said of the benchmark of a GPU where there is none."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from benchmarks import gpu_scan
from benchmarks.cases import CASES
from benchmarks.timing import QUICK


def test_says_that_there_is_no_gpu(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert list(gpu_scan.measure(QUICK)) == []
    assert "there is no CUDA device here" in capsys.readouterr().err


def test_the_floor_by_hand(monkeypatch):
    """One direction of a Vim-Tiny layer: 1.2 million exponentials and 1 MB."""
    about = SimpleNamespace(clock_rate=2_000_000, multi_processor_count=125)  # 4e12 a second
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: about)
    case = CASES["vim_t_224_b1"]
    exponentials = 197 * 384 * (16 + 2)
    moved = 197 * (3 * 384 + 2 * 16) * 4
    least = gpu_scan.floor(case, torch.float32, 4e12, gradients=False)
    assert least == pytest.approx(exponentials / 4e12)
    least = gpu_scan.floor(case, torch.float32, 1e12, gradients=False)
    assert least == pytest.approx(moved / 1e12)
    assert gpu_scan.floor(case, torch.bfloat16, 1e10, gradients=False) == pytest.approx(
        moved / 2 / 1e10
    )
    assert gpu_scan.floor(case, torch.float32, 4e12, gradients=True) > 2 * exponentials / 4e12
