"""How strongly each output token of a mixer answers to a change of each input token."""

from __future__ import annotations

import torch
from torch import Tensor

from mambaout.explain.token_mixers import MixerRun, by_token, steps_at

_BATCH = 2**18  # numbers in the tokens of one backward pass; small pictures go several at a time
_SEED = 0


def token_jacobian(run: MixerRun, rows: Tensor, probes: int) -> tuple[Tensor, float]:
    """sqrt(‖J_ts‖² / c) for J_ts = ∂ output token t / ∂ input token s, (c, c), Frobenius.

    The mean of ‖vᵀ J_ts‖² over orthonormal directions v of the output is ‖J_ts‖² / c if there are
    c of them, and an unbiased estimate of it from fewer, drawn at random (Hutchinson 1990,
    doi:10.1080/03610919008812866). One backward pass from v at token t gives vᵀ J_ts for all s.
    A mixer that sees r tokens far only is asked for every (2r+1)-th token in each direction at
    once: no two of them read the same token (Curtis, Powell & Reid 1974,
    doi:10.1093/imamat/13.1.117).

    Args:
        run: the mixer with what it was given.
        rows: the tokens t, all different, (rows,) int64.
        probes: how many directions are tried, at least 2.

    Returns:
        The weights (rows, n_tokens), float32 or wider, exactly zero where J_ts is zero; and their
        relative standard error, averaged with the weights: 0 if all directions were tried.
    """
    sequences, length, channels = run.tokens.shape
    directions = _directions(channels, probes).to(run.tokens)
    steps = steps_at(run.positions, rows)
    dtype = torch.promote_types(run.tokens.dtype, torch.float32)
    # The sums over directions of ‖vᵀ J_ts‖² and of its square.
    first, second = torch.zeros(
        2, sequences, len(steps), length, dtype=dtype, device=run.tokens.device
    )
    jobs = [(group, v) for group in _groups(run, steps) for v in directions]
    at_once = max(1, _BATCH // run.tokens.numel())
    for i in range(0, len(jobs), at_once):
        batch = jobs[i : i + at_once]
        for (group, _), answer in zip(batch, _answers(run, steps, batch), strict=True):
            square = answer[:, None] * _seen_from(run, steps[group]).to(answer.device)
            first[:, group] += square
            second[:, group] += square.square()
    n = len(directions)
    mean = first / n
    weights = mean.sqrt()
    # Drawn without replacement: nothing is left to chance once all directions were drawn.
    left_out = 1 - n / channels
    variance = (second / n - mean.square()).clamp(min=0) / max(n - 1, 1) * left_out
    error = (variance.sqrt() / (2 * weights)).nan_to_num(0)
    matrix = by_token(weights, run.positions[:, steps], run.positions, rows, run.n_tokens)
    return matrix, float(error.sum() / weights.sum())


def _directions(channels: int, probes: int) -> Tensor:
    """Orthonormal vectors, (probes, channels): random ones, or the axes if they are all."""
    if probes >= channels:
        return torch.eye(channels)
    rng = torch.Generator().manual_seed(_SEED)
    vectors: Tensor = torch.linalg.qr(torch.randn(channels, probes, generator=rng)).Q
    return vectors.mT


def _groups(run: MixerRun, steps: Tensor) -> list[Tensor]:
    """Which of the ``steps`` may be asked for at once, as indices into them."""
    if run.form.reach is None or run.map_size is None:
        return list(torch.arange(len(steps))[:, None])
    side, width = 2 * run.form.reach + 1, run.map_size[1]
    cell = steps // width % side * side + steps % width % side
    return [(cell == of_group).nonzero()[:, 0] for of_group in cell.unique()]


def _seen_from(run: MixerRun, steps: Tensor) -> Tensor:
    """Which tokens of a sequence each of the ``steps`` may read, (steps, l)."""
    length = run.tokens.shape[1]
    if run.form.reach is None or run.map_size is None:
        return torch.ones(len(steps), length, dtype=torch.bool)
    width = run.map_size[1]
    at, other = steps[:, None], torch.arange(length)
    down = (at // width - other // width).abs()
    across = (at % width - other % width).abs()
    return torch.maximum(down, across) <= run.form.reach


def _answers(run: MixerRun, steps: Tensor, jobs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """‖vᵀ J_ts‖² summed over a group's t, for each (group, v) of ``jobs``: (jobs, b, l)."""
    sequences = len(run.tokens)
    with torch.inference_mode(False), torch.enable_grad():
        x = run.tokens.detach().repeat(len(jobs), 1, 1).requires_grad_()
        y = run.mix(x)
        cotangent = torch.zeros_like(y).unflatten(0, (len(jobs), sequences))
        for of_job, (group, v) in zip(cotangent, jobs, strict=True):
            of_job[:, steps[group]] = v
        (gradient,) = torch.autograd.grad(y, x, cotangent.flatten(0, 1))
    gradient = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    squares: Tensor = gradient.square().sum(-1)
    return squares.view(len(jobs), sequences, -1)
