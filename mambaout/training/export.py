"""Weights, card and manifest of a finished run."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from mambaout.catalogue.bundled import CAUSAL
from mambaout.evaluation.files import atomically, write_json, write_text
from mambaout.training.card import card
from mambaout.training.card_text import markdown
from mambaout.training.config import Recipe, TrainingError
from mambaout.training.data import Dataset, Split
from mambaout.training.loop import Result, evaluate


class HalfMovesAccuracy(TrainingError):
    """Weights that are not as good when they are rounded to float16."""


HALF_TOLERANCE = 0.001
"""Largest change of top-1 (share of pictures) for which float16 weights are accepted."""


def tag_of(recipe: Recipe, tag: str) -> str:
    """The tag of weights trained by ``recipe``, given that of bidirectional ones."""
    return f"{tag}{CAUSAL}" if recipe.mixing == "causal" else tag


def export(
    result: Result,
    recipe: Recipe,
    data: Dataset,
    folder: Path,
    tag: str,
    *,
    start: Path | None = None,
    half: bool,
    device: torch.device,
    others: Split | None = None,
) -> tuple[Path, ...]:
    """Write ``<model>.<tag>.safetensors`` with its card (.json, .md), and add it to manifest.json.

    The figures on the card are measured on the weights as they are in the file.

    ``start`` names the weights that training began with; their card lies beside them. ``others``
    are pictures of none of the classes, by which the card tells how sure the model is of such.

    Raises:
        HalfMovesAccuracy: ``half`` is asked for and moves top-1 by more than 0.1 points.
    """
    score = evaluate(result.model, data.val.to(device), recipe.final_size)
    if half:
        result = replace(result, model=_rounded(result.model))
        before, score = score, evaluate(result.model, data.val.to(device), recipe.final_size)
        moved = abs(score.top1 - before.top1) / score.count
        if moved > HALF_TOLERANCE:
            raise HalfMovesAccuracy(
                f"float16 weights move top-1 by {moved:.2%} of the pictures, more than "
                f"{HALF_TOLERANCE:.1%}; export without --half"
            )
    dtype = torch.float16 if half else torch.float32
    name = f"{recipe.model}.{tag}"
    weights = folder / f"{name}.safetensors"
    tensors = {
        key: (tensor.to(dtype) if tensor.is_floating_point() else tensor).cpu().contiguous()
        for key, tensor in result.model.state_dict().items()
    }
    # bytes, not save_file: that makes files nobody else may read
    content = save(tensors, metadata={"model": name})
    atomically(weights, lambda partial: partial.write_bytes(content))
    entry = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    about = {"file": weights.name, "dtype": str(dtype).removeprefix("torch."), **entry}
    # The card of the weights it all began with, read before this one may take its place.
    beginning = json.loads(start.with_suffix(".json").read_text("utf-8")) if start else None
    written = card(
        name, result, recipe, data, score, file=about, device=device, start=beginning, others=others
    )
    write_card(folder / f"{name}.json", written)
    manifest = folder / "manifest.json"
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    entries[weights.name] = entry
    write_json(manifest, dict(sorted(entries.items())))
    return weights, folder / f"{name}.json", folder / f"{name}.md", manifest


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Replace the card at ``path`` (.json) and its page for readers (.md)."""
    write_json(path, card)
    write_text(path.with_suffix(".md"), markdown(card))


def _rounded(model: nn.Module) -> nn.Module:
    """A copy of ``model`` whose float32 weights are float16 numbers."""
    copied = copy.deepcopy(model)
    with torch.no_grad():
        for tensor in copied.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(tensor.half())
    return copied
