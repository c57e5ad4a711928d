"""The recipe: every number that decides the weights, and none that does not."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from mambaout.catalogue.mixing import Mixing
from mambaout.errors import MambaOutError

Precision = Literal["float32", "bfloat16"]


class TrainingError(MambaOutError, ValueError):
    """A recipe, a data set or a run directory that training cannot work with."""


@dataclass(frozen=True)
class Phase:
    """Pictures of ``size`` pixels a side until the end of epoch ``until`` (not included)."""

    size: int
    until: int


@dataclass(frozen=True)
class Recipe:
    """What is trained and how.

    Two runs with equal recipes on equal pictures give equal weights: bit for bit on a CPU with one
    thread. Learning rate: linear from 0 over ``warmup_epochs``, then half a cosine to
    ``min_lr``, set at each step. ``init`` is the SHA-256 of the weights to start from; without one
    they are drawn from ``seed``.
    """

    model: str
    classes: str = "everyday"
    mixing: Mixing = "bidirectional"
    epochs: int = 60
    batch_size: int = 128
    lr: float = 2e-3
    min_lr: float = 1e-5
    weight_decay: float = 0.05
    warmup_epochs: float = 3.0
    clip_grad: float = 1.0
    ema_decay: float = 0.998
    drop_path_rate: float = 0.05
    label_smoothing: float = 0.1
    mixup: float = 0.2
    cutmix: float = 1.0
    mix_prob: float = 0.5
    crop_area: float = 0.35
    color_jitter: float = 0.3
    sizes: str = "32:0.6,64:0.4"
    precision: Precision = "float32"
    limit_train: int = 0
    seed: int = 0
    init: str = ""

    def __post_init__(self) -> None:
        if self.mixing not in get_args(Mixing):
            raise TrainingError(f"mixing must be one of {get_args(Mixing)}, got {self.mixing!r}")
        if self.precision not in get_args(Precision):
            raise TrainingError(
                f"precision must be one of {get_args(Precision)}, got {self.precision!r}"
            )
        if self.epochs < 1:
            raise TrainingError(f"epochs must be at least 1, got {self.epochs}")
        if self.batch_size < 2 or self.batch_size % 2:
            raise TrainingError(
                f"batch_size must be even, pictures are mixed in pairs; got {self.batch_size}"
            )
        if not 0 < self.crop_area <= 1:
            raise TrainingError(f"crop_area must be in (0, 1], got {self.crop_area}")
        if self.limit_train < 0:
            raise TrainingError(f"limit_train must be 0 (all) or more, got {self.limit_train}")
        self.phases()

    def phases(self) -> tuple[Phase, ...]:
        """``sizes`` read: "32:0.6,64:0.4" is 60 % of the epochs at 32 pixels, the rest at 64."""
        try:
            pairs = [part.split(":") for part in self.sizes.split(",")]
            shares = [(int(size), float(share)) for size, share in pairs]
        except ValueError as error:
            raise TrainingError(
                f'sizes must look like "32:0.6,64:0.4" (pixels:share of epochs), got {self.sizes!r}'
            ) from error
        total = math.fsum(share for _, share in shares)
        if abs(total - 1) > 1e-6 or any(size < 8 or share <= 0 for size, share in shares):
            raise TrainingError(
                f"the shares of sizes must be positive and add up to 1, each size at least 8; "
                f"got {self.sizes!r}"
            )
        ends = [math.fsum(share for _, share in shares[: i + 1]) for i in range(len(shares))]
        return tuple(
            Phase(size, round(end * self.epochs))
            for (size, _), end in zip(shares, ends, strict=True)
        )

    def size_at(self, epoch: int) -> int:
        """Side of the training pictures in ``epoch`` (0-based), in pixels."""
        return next(phase.size for phase in self.phases() if epoch < phase.until)

    @property
    def final_size(self) -> int:
        """Side of the pictures the model is made and validated for, in pixels."""
        return self.phases()[-1].size

    @property
    def picture_size(self) -> int:
        """Side of the decoded pictures kept in the cache, in pixels."""
        return max(phase.size for phase in self.phases())

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """Learning rate of optimiser step ``step`` (0-based)."""
        warmup = self.warmup_epochs * steps_per_epoch
        if step < warmup:
            return self.lr * (step + 1) / (warmup + 1)
        total = self.epochs * steps_per_epoch
        done = (step - warmup) / max(1.0, total - warmup)
        return self.min_lr + (self.lr - self.min_lr) * 0.5 * (1 + math.cos(math.pi * done))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
