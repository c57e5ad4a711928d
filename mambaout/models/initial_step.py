"""The step size a selective scan starts its training with."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def initial_step_bias(*shape: int) -> Tensor:
    """Biases whose softplus, the step Δ, is log-uniform in [0.001, 0.1] scan steps.

    Gu & Dao 2023 (arXiv:2312.00752), section 3.6; the bounds are those of the authors' code.
    """
    step = torch.exp(torch.empty(shape).uniform_(math.log(0.001), math.log(0.1)))
    return step + torch.log(-torch.expm1(-step))  # the softplus undone
