"""What a killed run needs to go on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from mambaout.evaluation.files import atomically, differences, write_text
from mambaout.training.config import Recipe, TrainingError

LAST = "last.pt"


@dataclass
class RunState:
    """The end of an epoch. No generator state: every draw is seeded by (seed, epoch, step).

    Attributes:
        epoch: epochs done; ``step``: optimiser steps done; ``seconds``: spent so far.
        history: one entry per epoch, as in ``log.jsonl``.
    """

    model: dict[str, Any]
    ema: dict[str, Any]
    optimizer: dict[str, Any]
    epoch: int
    step: int
    seconds: float
    history: list[dict[str, Any]] = field(default_factory=list)


def save_state(out: Path, state: RunState, recipe: Recipe, digest: str) -> None:
    """Replace the state in ``out`` and the log beside it."""
    stored = vars(state) | {"recipe": recipe.as_dict(), "data": digest}
    atomically(out / LAST, lambda path: torch.save(stored, path))
    write_text(out / "log.jsonl", "".join(json.dumps(entry) + "\n" for entry in state.history))


def load_state(out: Path, recipe: Recipe, digest: str) -> RunState | None:
    """The state in ``out``, or None where no run has finished an epoch.

    Raises:
        TrainingError: the run there has another recipe or other pictures.
    """
    path = out / LAST
    if not path.is_file():
        return None
    stored = torch.load(path, map_location="cpu", weights_only=True)
    changed = differences(
        stored.pop("recipe") | {"data": stored.pop("data")}, recipe.as_dict() | {"data": digest}
    )
    if changed:
        raise TrainingError(
            f"{out} holds a run of another recipe ({'; '.join(changed)}); "
            f"choose another --out, or delete that folder to start over"
        )
    return RunState(**stored)
