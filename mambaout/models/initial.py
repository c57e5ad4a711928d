"""First values of the parameters that Mamba's authors start in a particular way."""

from __future__ import annotations

import torch
from timm.layers import trunc_normal_
from torch import nn

from mambaout.models.initial_step import initial_step_bias


def step_projection(rank: int, inner: int) -> nn.Linear:
    """The projection to the step size Δ, its bias started as `initial_step_bias` says."""
    projection = nn.Linear(rank, inner)
    nn.init.uniform_(projection.weight, -(rank**-0.5), rank**-0.5)
    projection.bias = nn.Parameter(initial_step_bias(inner))
    return projection


def log_rates(inner: int, d_state: int) -> nn.Parameter:
    """log(-A) of (inner, d_state) channels and states, started at A = -1, -2, … ("S4D-Real").

    A new tensor at every call: parameters that share memory would be one after loading.
    """
    return nn.Parameter(torch.arange(1, d_state + 1).float().log().repeat(inner, 1))


def classifier(features: int, num_classes: int) -> nn.Module:
    """The last linear layer, or an identity where there are no classes."""
    if not num_classes:
        return nn.Identity()
    head = nn.Linear(features, num_classes)
    init_linear(head)
    return head


def init_linear(layer: nn.Linear) -> None:
    """Weights of a truncated normal with standard deviation 0.02, no bias: the habit of ViTs."""
    if layer.weight.is_meta:
        return  # nothing to fill, and timm's way of filling it takes seconds for a large model
    trunc_normal_(layer.weight, std=0.02)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
