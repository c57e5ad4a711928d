"""Pictures that anybody can draw again exactly, to ask a model whether it still answers the same.

They are patterns of whole numbers, so that they are equal on every machine, and show nothing. The
logits that bundled weights gave for them when they were exported stand in their cards. A model that
gives them again is the same file read into the same network with the same preprocessing: that is
all they prove. How often it is right they do not tell.
"""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn


def probe_pictures(side: int) -> Tensor:
    """Stripes, rings, tiles and blobs in colour: uint8 (6, 3, side, side)."""
    steps = torch.arange(side) * 64 // side  # the same patterns at every size
    y, x = steps[:, None].expand(side, side), steps[None].expand(side, side)
    radius = (x - 32) ** 2 + (y - 32) ** 2
    patterns = (
        (4 * x, 4 * y, 255 - 4 * x),
        (radius // 4, 255 - radius // 8, 128 + 0 * x),
        (40 * (x // 8), 40 * (y // 8), 30 * ((x + y) // 16)),
        (x * y // 16, x * (63 - y) // 16, (63 - x) * y // 16),
        (200 * (radius < 400), 180 * (radius < 200) + 3 * y, 90 + 2 * x),
        ((7 * x * x + 3 * x * y) // 16, (5 * y * y + x) // 8, (x * x + y * y + 11 * x) // 8),
    )
    return torch.stack([torch.stack(planes) % 256 for planes in patterns]).to(torch.uint8)


def probe_digest(pictures: Tensor) -> str:
    """SHA-256 of the pictures' bytes."""
    return hashlib.sha256(pictures.contiguous().numpy().tobytes()).hexdigest()


@torch.inference_mode()
def probe_logits(model: nn.Module, side: int, mean: list[float], std: list[float]) -> Tensor:
    """What ``model``, in evaluation mode, answers: float32 (6, classes)."""
    pictures = probe_pictures(side).float() / 255
    normalised = (pictures - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    parameter = next(model.parameters())
    logits: Tensor = model(normalised.to(parameter.device))
    return logits.float().cpu()
