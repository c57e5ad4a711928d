"""Principal components of a scan's states, against a whole singular value decomposition."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mambaout.ops import scan_states
from mambaout.ops import state_components as module
from mambaout.ops.state_components import state_components
from tests.ops.test_hidden_attention import LargestArray, draw


def whole(inputs):
    """Scores (b, l, 3) and shares (b, 3) from all states at once."""
    scores, shares = [], []
    states = scan_states(inputs.u, inputs.delta, inputs.A, inputs.B)  # (b, d, l, n)
    for h in states.transpose(1, 2).flatten(2).double().numpy():
        u, s, _ = np.linalg.svd(h - h.mean(0), full_matrices=False)
        along = u[:, :3] * s[:3]
        scores.append(along * np.sign(along[abs(along).argmax(0), range(3)]))
        shares.append(s[:3] ** 2 / (s**2).sum())
    return np.stack(scores), np.stack(shares)


def check(inputs, rtol):
    got = state_components(inputs)
    scores, shares = whole(inputs)
    assert shares[:, 2].min() > 0.01
    np.testing.assert_allclose(got.explained, shares, rtol=rtol)
    np.testing.assert_allclose(got.scores, scores, atol=rtol * abs(scores).max())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_few_tokens_exactly(dtype):
    check(draw(b=2, d=20, n=3, length=40, dtype=dtype), rtol=1e-4)


def test_chunks_add_up(monkeypatch):
    inputs = draw(b=1, d=50, n=3, length=40, dtype=torch.float32)
    at_once = state_components(inputs)
    monkeypatch.setattr(module, "_BLOCK", 1)  # 16 channels at a time
    in_chunks = state_components(inputs)
    torch.testing.assert_close(in_chunks.scores, at_once.scores, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("block", [1, 2**24])
def test_many_tokens_by_iteration(monkeypatch, block):
    monkeypatch.setattr(module, "_EXACT", 0)
    monkeypatch.setattr(module, "_BLOCK", block)
    check(draw(b=1, d=40, n=2, length=300, dtype=torch.float32), rtol=2e-2)


def test_one_direction_explains_all():
    """One channel with one state: there is no second direction."""
    inputs = draw(b=1, d=1, n=1, length=30)
    got = state_components(inputs)
    states = scan_states(inputs.u, inputs.delta, inputs.A, inputs.B)[0, 0, :, 0]
    centred = states - states.mean()
    centred = centred * centred[centred.abs().argmax()].sign()
    torch.testing.assert_close(got.scores[0, :, 0], centred)
    torch.testing.assert_close(got.explained[0, 0], torch.ones((), dtype=torch.float64))
    assert got.scores[0, :, 1:].abs().max() < 1e-6


def test_fewer_steps_than_components_and_no_state_at_all():
    got = state_components(draw(b=1, d=4, n=2, length=2))
    assert got.scores.shape == (1, 2, 3)
    assert not got.scores[..., 2].any()
    inputs = draw(b=1, d=4, n=2, length=9)
    inputs.u.zero_()
    got = state_components(inputs)
    assert not got.scores.any()
    assert not got.explained.any()


def test_no_array_is_larger_than_it_says(monkeypatch):
    monkeypatch.setattr(module, "_BLOCK", 2**19)
    inputs = draw(b=1, d=100, n=16, length=2000, dtype=torch.float32)
    states = 4 * 100 * 16 * 2000
    with LargestArray() as largest:
        got = state_components(inputs)
    assert got.scores.shape == (1, 2000, 3)
    assert 16 * 16 * 2000 * 4 <= largest.nbytes <= 4 * 2**19 < 0.2 * states
