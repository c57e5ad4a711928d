"""The families, registered with timm by being imported, and what all of them share."""

from __future__ import annotations

from mambaout.models import (
    attention,
    efficient_vim,
    efficient_vmamba,
    gated_cnn,
    local_vim,
    local_vmamba,
    mamba_vision,
    plain_mamba,
    vim,
    vmamba,
)
from mambaout.models.mixing import Mixing, with_mixing
from mambaout.models.sharing import share_weights
from mambaout.models.token_grid import TokenGrid, token_grid

__all__ = [
    "Mixing",
    "TokenGrid",
    "attention",
    "efficient_vim",
    "efficient_vmamba",
    "gated_cnn",
    "local_vim",
    "local_vmamba",
    "mamba_vision",
    "plain_mamba",
    "share_weights",
    "token_grid",
    "vim",
    "vmamba",
    "with_mixing",
]
