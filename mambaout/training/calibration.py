"""How sure a trained model is of pictures of its classes, and of pictures of others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mambaout.evaluation.novelty import auroc, tempered
from mambaout.training.augment import normalise
from mambaout.training.data import Split
from mambaout.training.model import normalisation

FALSE_ALARMS = 0.1
"""Share of pictures of the model's own classes that the threshold calls unsure."""

TEMPERATURES = torch.logspace(-1, 1, 401, base=4.0).tolist()
"""From 1/4 to 4, each 0.7 % above the one before."""


@torch.inference_mode()
def logits_of(model: nn.Module, split: Split, size: int, batch_size: int = 100) -> Tensor:
    """What ``model`` says of every picture at ``size`` pixels: float32 (n, classes) on the CPU."""
    mean, std = normalisation(model, split.labels.device)
    was_training = model.training
    model.eval()
    parts = [
        model(normalise(split.images[start : start + batch_size], size, mean, std)).float().cpu()
        for start in range(0, len(split), batch_size)
    ]
    model.train(was_training)
    return torch.cat(parts)


def calibrate(inside: Tensor, labels: Tensor, outside: Tensor) -> dict[str, Any]:
    """The card's entry that `mambaout.evaluation.novelty` reads, from validation pictures.

    Every second picture decides temperature and threshold, the others tell how good they are.

    Args:
        inside: logits (n, classes) of pictures of the model's classes.
        labels: their classes (n,).
        outside: logits (m, classes) of pictures of other classes.
    """
    temperature = min(
        TEMPERATURES,
        key=lambda value: float(F.cross_entropy(inside[::2] / value, labels[::2])),
    )

    def confidence(logits: Tensor) -> npt.NDArray[np.float64]:
        return np.asarray(tempered(logits.softmax(1).numpy(), temperature).max(axis=1))

    threshold = float(np.quantile(confidence(inside[::2]), FALSE_ALARMS))
    own, foreign = confidence(inside[1::2]), confidence(outside[1::2])
    return {
        "score": "largest probability at the temperature",
        "temperature": round(temperature, 4),
        "threshold": threshold,
        "unsure_inside": float((own < threshold).mean()),
        "unsure_outside": float((foreign < threshold).mean()),
        "auroc": auroc(own, foreign),
        "inside_count": len(own),
        "outside_count": len(foreign),
    }
