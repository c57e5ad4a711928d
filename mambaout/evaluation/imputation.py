"""Pictures with places taken out and filled in from around them: noisy linear imputation.

Rong et al. 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods" (ROAD),
arXiv:2202.00449, section 4.2. pytorch-grad-cam has it too, but draws its noise from the global
generator, needs a CPU, and calls NumPy in a way that NumPy has announced to end.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_NEIGHBOURS = ((1 / 12, 1 / 6, 1 / 12), (1 / 6, 0.0, 1 / 6), (1 / 12, 1 / 6, 1 / 12))
_NOISE = 0.01  # standard deviation, of normalised pictures; the authors'
_TOLERANCE = 1e-5  # of the residual's length, by that of the right-hand side


def imputed(pictures: Tensor, missing: Tensor, seed: int) -> Tensor:
    """Pictures whose missing pixels are weighted means of their neighbours, with a little noise.

    Neighbours side by side count 1/6, those across corners 1/12; at the picture's edge, those that
    there are. So what is filled in follows from what is left, and the shape of a hole tells a model
    less about what was there than black would. The system, an equation for each missing pixel, is
    symmetric and positive, and solved by conjugate gradients (Hestenes & Stiefel 1952).

    Args:
        pictures: normalised, (b, c, H, W).
        missing: (b, H, W), true where a pixel is taken out; in no picture everywhere.
        seed: of the noise, which is the same for every picture of a batch.
    """
    gone = missing[:, None].to(torch.promote_types(pictures.dtype, torch.float32))
    known = pictures * (1 - gone)
    weights = gone.new_tensor(_NEIGHBOURS)
    total = _around(torch.ones_like(gone), weights)
    filled = torch.zeros_like(known)
    residual = gone * _around(known, weights)
    direction, left = residual.clone(), _dot(residual, residual)
    enough = _TOLERANCE**2 * left
    for _ in range(missing[0].numel()):  # as many as there may be unknowns; far fewer are needed
        if (left <= enough).all():
            break
        image = gone * (total * direction - _around(direction, weights))
        # A picture that is done has nothing left to go along.
        step = torch.where(left > enough, left / _dot(direction, image), 0)
        filled += step * direction
        residual -= step * image
        after = _dot(residual, residual)
        direction = residual + torch.where(left > enough, after / left, 0) * direction
        left = after
    rng = torch.Generator().manual_seed(seed)
    noise = (torch.randn(pictures.shape[1:], generator=rng) * _NOISE).to(filled)
    return (known + gone * (filled + noise)).to(pictures.dtype)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """The scalar product of each channel of each picture, (b, c, 1, 1)."""
    return (a * b).sum((2, 3), keepdim=True)


def _around(x: Tensor, weights: Tensor) -> Tensor:
    """At each pixel of maps (b, c, H, W), the weighted sum of its neighbours'."""
    return F.conv2d(x.flatten(0, 1)[:, None], weights[None, None], padding=1).view_as(x)
