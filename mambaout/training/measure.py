"""``python -m mambaout.training measure``: measure exported weights again."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path

import torch

from mambaout.models.checkpoints import load_checkpoint
from mambaout.training.card import accuracy, behaviour
from mambaout.training.config import Recipe, TrainingError
from mambaout.training.data import load_dataset, load_others
from mambaout.training.export import write_card
from mambaout.training.loop import evaluate
from mambaout.training.model import build


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m mambaout.training measure",
        description=(
            "Write into the cards of exported weights how often they are right in either mixing, "
            "how sure they are of pictures of their classes and of other classes, and what they "
            "answer to drawn patterns."
        ),
    )
    result.add_argument("cards", type=Path, nargs="+", help="cards (.json) beside their weights")
    result.add_argument("--data", type=Path, required=True, help="folder with train and val")
    result.add_argument("--cache", type=Path, required=True, help="decoded pictures")
    return result


def main(arguments: Sequence[str], report: Callable[[str], None]) -> None:
    """Renew the cards that ``arguments`` name.

    Raises:
        TrainingError: a file is no card, or the data are not those the weights were validated on.
    """
    options = parser().parse_args(arguments)
    for path in options.cards:
        measure(path, options.data, options.cache, report)


def measure(path: Path, folder: Path, cache: Path, report: Callable[[str], None]) -> None:
    """Measure the weights beside the card at ``path`` on the pictures in ``folder``."""
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(Recipe)}
        recipe = Recipe(**{key: value for key, value in card["recipe"].items() if key in known})
        weights = path.with_name(card["file"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{path} cannot be read as a card of weights ({error!r})") from error
    data = load_dataset(folder, recipe, cache, report)
    if data.digest != card["data"]["digest"]:
        raise TrainingError(
            f"{folder} does not hold the pictures that {card['name']} was trained and validated on"
        )
    model = build(replace(recipe, init=""), len(data.classes))
    load_checkpoint(model, weights)
    others = load_others(folder, data.classes, recipe.picture_size, cache, report)
    device = torch.device("cpu")
    score = evaluate(model, data.val, recipe.final_size)
    card |= accuracy(model, recipe, data, score, device)
    card |= behaviour(model, recipe, data, others, device)
    write_card(path, card)
    report(f"wrote {path}")
