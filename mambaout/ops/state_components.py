"""The directions in which a scan's state varies most from token to token, and how far along each.

The states of a path, (l, d·n), are more than fit in memory on large pictures: 800 MB for one path
of VMamba's first generation at 1024 x 1024 pixels. They are computed a few channels at a time,
which is possible because channels do not see each other in a scan, and again whenever they are
needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mambaout.ops.path_scan import fused_states
from mambaout.ops.plain_scan import scan_states
from mambaout.ops.scan_inputs import ScanInputs

_BLOCK = 2**24  # numbers of the states held at a time: 64 MiB in float32
_LANES = 16  # channels that the fused scan takes at a time, at the least
_EXACT = 1024  # tokens up to which all products of two tokens' states are formed
_SPARE = 8  # directions iterated beside those asked for: they speed the others up
_PASSES = 50
_TOLERANCE = 1e-2
_SEED = 0


class StateComponents(NamedTuple):
    """Principal components of the states of one path, on each picture of a batch."""

    scores: Tensor  # (b, l, k): each state less their mean, along each component, in scan order
    explained: Tensor  # (b, k): the component's share of the variance of all states


def state_components(inputs: ScanInputs, count: int = 3) -> StateComponents:
    """Principal component analysis of h_t, flattened to (d·n,), over the steps of one scan path.

    A component has no sign of its own: the score of the largest size is made positive. Scores are
    in the unit of the state. Memory: a few arrays of 64 MiB, or of 16 channels' states where those
    are more.

    Up to 1024 steps the (l, l) products of states are formed and decomposed. Beyond, their leading
    eigenvectors are found by subspace iteration (Halko, Martinsson & Tropp 2011, arXiv:0909.4061,
    algorithm 4.4) from a fixed start, until every residual is 1 % of its eigenvalue or for 50
    passes. Components that explain nearly the same share may then be mixed with one another.

    Args:
        inputs: what the scan is given.
        count: components. Where the states have fewer, the scores of the others are zero.
    """
    scores, explained = zip(
        *(_of_one_picture(inputs, i, count) for i in range(len(inputs.u))), strict=True
    )
    return StateComponents(torch.stack(scores), torch.stack(explained))


def _of_one_picture(inputs: ScanInputs, index: int, count: int) -> tuple[Tensor, Tensor]:
    length = inputs.u.shape[2]
    find = _all_products if length <= _EXACT else _iterated
    values, vectors, total = find(_Centred(inputs, index), count)
    values = values.clamp(min=0)
    scores = vectors * values.sqrt()
    largest = scores.gather(0, scores.abs().argmax(0, keepdim=True))
    scores = torch.where(largest < 0, -scores, scores)
    explained = values / total if total > 0 else torch.zeros_like(values)
    missing = count - len(values)
    return F.pad(scores, (0, missing)), F.pad(explained, (0, missing))


class _Centred:
    """The states of one picture less their mean over the steps, (l, some of d·n) at a time."""

    def __init__(self, inputs: ScanInputs, index: int) -> None:
        self.inputs, self.index = inputs, index
        self.length, n = inputs.u.shape[2], inputs.A.shape[1]
        self.width = max(_LANES, _BLOCK // (self.length * n) // _LANES * _LANES)
        fit_at_once = inputs.u.shape[1] <= self.width
        self.kept = [self._chunk(0)] if fit_at_once else None

    def __iter__(self) -> Iterator[Tensor]:
        if self.kept is not None:
            yield from self.kept
            return
        for first in range(0, self.inputs.u.shape[1], self.width):
            yield self._chunk(first)

    def _chunk(self, first: int) -> Tensor:
        channels = slice(first, first + self.width)
        u, delta = (t[self.index, channels] for t in (self.inputs.u, self.inputs.delta))
        A, B = self.inputs.A[channels], self.inputs.B[self.index]
        fused = fused_states(u)
        if fused is not None:
            u, delta, B = (t.mT[None, None] for t in (u, delta, B))
            states = fused(u, delta, A[None], B, (False,))[0, 0]
        else:
            states = scan_states(u[None], delta[None], A, B[None])[0].transpose(0, 1)
        states = states.reshape(self.length, -1)
        return states.sub_(states.mean(0))


_Found = tuple[Tensor, Tensor, Tensor]  # eigenvalues (k,), eigenvectors (l, k), the trace


def _all_products(states: _Centred, count: int) -> _Found:
    products = reduce(torch.add, (chunk @ chunk.mT for chunk in states))
    values, vectors = torch.linalg.eigh(products.double())
    largest, of_largest = values.flip(0)[:count], vectors.flip(1)[:, :count]
    return largest.to(products), of_largest.to(products), values.sum().to(products)


def _iterated(states: _Centred, count: int) -> _Found:
    rng = torch.Generator().manual_seed(_SEED)
    start = torch.randn(states.length, count + _SPARE, generator=rng)
    basis = torch.linalg.qr(start.to(torch.promote_types(states.inputs.u.dtype, torch.float32))).Q
    basis = basis.to(states.inputs.u.device)
    total = basis.new_zeros(())
    for number in range(_PASSES):
        image = torch.zeros_like(basis)
        for chunk in states:
            image += chunk @ (chunk.mT @ basis)
            if number == 0:
                total += chunk.square().sum()
        values, turn = torch.linalg.eigh(basis.mT @ image)  # Rayleigh-Ritz
        values, turn = values.flip(0)[:count], turn.flip(1)[:, :count]
        vectors = basis @ turn
        residuals = (image @ turn - vectors * values).norm(dim=0)
        # Eigenvalues that are nothing beside the first are rounding errors: nobody awaits them.
        if (residuals <= _TOLERANCE * values + 1e-6 * values[0]).all():
            break
        basis = torch.linalg.qr(image).Q
    return values, vectors, total
