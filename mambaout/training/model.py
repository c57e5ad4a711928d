"""A registered model, built for a recipe."""

from __future__ import annotations

import inspect
from typing import Any

import timm
import torch
from torch import Tensor, nn

from mambaout.models.mixing import with_mixing
from mambaout.models.vim import VisionMamba
from mambaout.training.config import Recipe, TrainingError


def build(recipe: Recipe, num_classes: int) -> nn.Module:
    """The model of ``recipe``, freshly initialised from ``recipe.seed``, in its mixing.

    Raises:
        TrainingError: timm knows no such model, or it has no causal form and is to be causal.
    """
    if not timm.is_model(recipe.model):
        raise TrainingError(
            f"timm knows no model {recipe.model!r}; choose one such as mambaout_atto or vim_atto "
            f"(all of them: timm.list_models())"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        default = timm.create_model(recipe.model)
        if recipe.mixing == "causal":
            _check_causal(recipe, default)
        accepted = inspect.signature(type(default)).parameters
        wanted: dict[str, Any] = {
            "img_size": recipe.final_size,
            # several picture sizes in one run
            "dynamic_img_size": True,
            "drop_path_rate": recipe.drop_path_rate,
        }
        if recipe.mixing == "causal" and isinstance(default, VisionMamba):
            # mid-way, a causal Vim's class token would never see the lower half of the picture
            wanted["class_token"] = "end"
        fitting = {key: value for key, value in wanted.items() if key in accepted}
        torch.manual_seed(recipe.seed)
        model: nn.Module = timm.create_model(recipe.model, num_classes=num_classes, **fitting)
    return model if recipe.mixing == "bidirectional" else with_mixing(model, recipe.mixing)


def _check_causal(recipe: Recipe, model: nn.Module) -> None:
    try:
        with_mixing(model, "causal")
    except TypeError as reason:
        raise TrainingError(f"{recipe.model} cannot be trained causally: {reason}") from reason


def normalisation(model: nn.Module, device: torch.device) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (3,) of the pictures the model is registered with."""
    data = timm.data.resolve_model_data_config(model)
    return torch.tensor(data["mean"], device=device), torch.tensor(data["std"], device=device)
