"""What is told about exported weights: how they were made, and how good they are."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import timm
import torch
from torch import nn

from mambaout.catalogue.mixing import Mixing
from mambaout.evaluation.counting import cost
from mambaout.evaluation.interval import wilson_interval
from mambaout.evaluation.paired import packed
from mambaout.evaluation.probe import probe_digest, probe_logits, probe_pictures
from mambaout.models.mixing import with_mixing
from mambaout.training.calibration import calibrate, logits_of
from mambaout.training.config import Recipe
from mambaout.training.data import Dataset, Split
from mambaout.training.loop import Result, Score, evaluate


def card(
    name: str,
    result: Result,
    recipe: Recipe,
    data: Dataset,
    score: Score,
    *,
    file: dict[str, Any],
    device: torch.device,
    start: dict[str, Any] | None = None,
    others: Split | None = None,
) -> dict[str, Any]:
    """The card of ``result``, ready for JSON; ``score`` and ``file`` are those of the export.

    ``others`` are pictures of none of its classes.
    """
    model = result.model
    pictures = timm.data.resolve_model_data_config(model)
    counted = cost(model, (3, recipe.final_size, recipe.final_size))
    return {
        "name": name,
        "model": recipe.model,
        **file,
        "params": counted.params,
        "macs": counted.macs,
        "macs_how": counted.how,
        "input_size": [3, recipe.final_size, recipe.final_size],
        "mean": list(pictures["mean"]),
        "std": list(pictures["std"]),
        "mixing": recipe.mixing,
        **accuracy(model, recipe, data, score, device),
        "data": {
            "description": describe(data, recipe),
            "train_count": len(data.train),
            "digest": data.digest,
        },
        "epochs": len(result.history),
        "seed": recipe.seed,
        "recipe": recipe.as_dict(),
        "start": None if start is None else _beginning(start),
        "weights": "exponential moving average of the trained weights",
        "hardware": hardware(device),
        "software": f"torch {torch.__version__}, timm {timm.__version__}",
        "seconds": round(result.seconds, 1),
        **behaviour(model, recipe, data, others, device),
        "classes": [choice._asdict() for choice in data.classes],
    }


def accuracy(
    model: nn.Module, recipe: Recipe, data: Dataset, score: Score, device: torch.device
) -> dict[str, Any]:
    """How often ``model`` is right, and on which pictures, as it is and with its mixers switched.

    Args:
        model: with the mixing of ``recipe``.
        recipe: that of its training.
        data: whose validation pictures ``score`` is of.
        score: the model's, as it is.
        device: where to measure the other one.
    """
    return {
        **_told(score),
        "val_count": score.count,
        "other_mixing": _other_mixing(model, recipe, data, device),
    }


def behaviour(
    model: nn.Module, recipe: Recipe, data: Dataset, others: Split | None, device: torch.device
) -> dict[str, Any]:
    """What ``model`` says of pictures that are not its own: drawn ones, and of other classes."""
    size, pictures = recipe.final_size, timm.data.resolve_model_data_config(model)
    logits = probe_logits(model.eval(), size, pictures["mean"], pictures["std"])
    novelty = None
    if others is not None:
        inside, outside = (logits_of(model, s.to(device), size) for s in (data.val, others))
        novelty = calibrate(inside, data.val.labels.cpu(), outside)
    return {
        "novelty": novelty,
        "probe": {
            "pictures": f"mambaout.evaluation.probe.probe_pictures({size})",
            "sha256": probe_digest(probe_pictures(size)),
            "logits": [[round(value, 5) for value in row] for row in logits.tolist()],
        },
    }


def _beginning(card: dict[str, Any]) -> dict[str, Any]:
    """What a reader needs to make the weights again that training began with."""
    kept = ("sha256", "recipe", "start", "epochs", "seconds", "hardware", "software", "val_top1")
    return {key: card.get(key) for key in kept}


def describe(data: Dataset, recipe: Recipe) -> str:
    """What the model was trained and validated on, in sentences."""
    side = recipe.picture_size
    sentence = (
        f"{len(data.train):,} training and {len(data.val):,} validation pictures of "
        f"{len(data.classes)} classes of {data.name}, {side} x {side} pixels."
    )
    if data.lossy_webp:
        sentence += " The pictures used were lossily re-encoded (WebP)."
    return sentence


def hardware(device: torch.device) -> str:
    """The processor of this machine, such as "AMD EPYC 9R14, 2 of 2 threads"."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {torch.get_num_threads()} of {os.cpu_count()} threads"


def _other_mixing(
    model: nn.Module, recipe: Recipe, data: Dataset, device: torch.device
) -> dict[str, Any]:
    """Accuracy of the same weights with the mixers switched, or the reason there is none."""
    mixing: Mixing = "causal" if recipe.mixing == "bidirectional" else "bidirectional"
    try:
        switched = with_mixing(model, mixing)
    except TypeError as reason:
        return {"mixing": mixing, "why_not": str(reason)}
    score = evaluate(switched, data.val.to(device), recipe.final_size)
    return {"mixing": mixing, **_told(score)}


def _told(score: Score) -> dict[str, Any]:
    return {
        "val_top1": score.top1 / score.count,
        "val_top1_interval": wilson_interval(score.top1, score.count),
        "val_top5": score.top5 / score.count,
        "val_top5_interval": wilson_interval(score.top5, score.count),
        "val_right": packed(score.right.numpy()),
    }
