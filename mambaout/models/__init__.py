"""The families, registered with timm by being imported, and what all of them share."""

from __future__ import annotations

from mambaout.catalogue.cards import ModelCard, offered
from mambaout.catalogue.mixing import Mixing
from mambaout.catalogue.status import WeightsStatus
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
from mambaout.models.checkpoints import LoadReport, load_checkpoint
from mambaout.models.labels import class_labels
from mambaout.models.mixing import with_mixing
from mambaout.models.scan_paths import scan_paths, why_paths_are_fixed, with_paths
from mambaout.models.sharing import share_weights
from mambaout.models.token_grid import TokenGrid, token_grid
from mambaout.models.weights import fetch_weights, weights_status

__all__ = [
    "LoadReport",
    "Mixing",
    "ModelCard",
    "TokenGrid",
    "WeightsStatus",
    "attention",
    "class_labels",
    "efficient_vim",
    "efficient_vmamba",
    "fetch_weights",
    "gated_cnn",
    "load_checkpoint",
    "local_vim",
    "local_vmamba",
    "mamba_vision",
    "offered",
    "plain_mamba",
    "scan_paths",
    "share_weights",
    "token_grid",
    "vim",
    "vmamba",
    "weights_status",
    "why_paths_are_fixed",
    "with_mixing",
    "with_paths",
]
