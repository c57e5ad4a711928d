"""``python -m mambaout.training study``: each mixer trained with either mixing, and the table.

The MambaOut paper (arXiv:2405.07992, figure 3) trains a ViT causally and finds it less accurate.
This asks the same of small models whose mixers are a gated CNN, selective scans and attention:
trained bidirectionally, the same weights switched to causal, and trained causally.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

from mambaout.catalogue.mixing import Mixing
from mambaout.evaluation.files import write_json, write_text
from mambaout.evaluation.study_plot import plot
from mambaout.evaluation.study_table import rows_of, study_table
from mambaout.training.config import Recipe, TrainingError
from mambaout.training.export import HalfMovesAccuracy
from mambaout.training.options import add_recipe, add_surroundings, report_line, surroundings
from mambaout.training.run import Surroundings, run_recipe

MODELS = ("mambaout_atto", "vim_atto", "vmamba_atto", "vit_atto")

SCHEDULES: dict[str, tuple[dict[str, Any], ...]] = {
    "short": (
        {
            "epochs": 13,
            "batch_size": 64,
            "lr": 1.5e-3,
            "warmup_epochs": 1.0,
            "drop_path_rate": 0.0,
            "mix_prob": 0.3,
            "crop_area": 0.45,
            "sizes": "32:0.923,64:0.077",
            "precision": "bfloat16",
        },
        {
            "epochs": 3,
            "batch_size": 64,
            "lr": 6e-4,
            "warmup_epochs": 0.3,
            "drop_path_rate": 0.0,
            "mix_prob": 0.3,
            "crop_area": 0.45,
            "sizes": "64:1",
            "precision": "bfloat16",
        },
    ),
    "full": ({"precision": "bfloat16"},),
}
"""Runs one after another. "short": hours on one CPU core for 24 classes; "full": for a GPU."""


@dataclass(frozen=True)
class Planned:
    """One model to be trained: its recipes, each from the weights of the one before."""

    recipes: tuple[Recipe, ...]

    @property
    def place(self) -> str:
        """Its folder's name."""
        first = self.recipes[0]
        return f"{first.model}.{first.mixing}.seed{first.seed}"

    def is_told_by(self, card: dict[str, Any]) -> bool:
        """Whether ``card`` is of weights that were made this way."""
        told = [_without_start(recipe) for recipe in recipes_of(card)]
        return told == [_without_start(recipe.as_dict()) for recipe in self.recipes]


def recipes_of(card: dict[str, Any]) -> list[dict[str, Any]]:
    """The recipes that made a card's weights, the first one first."""
    before = recipes_of(card["start"]) if card.get("start") else []
    known = {field.name for field in fields(Recipe)}
    given = {key: value for key, value in card["recipe"].items() if key in known}
    return [*before, Recipe(**given).as_dict()]


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m mambaout.training study",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--data", type=Path, help="folder with train and val; without: no training")
    result.add_argument("--out", type=Path, default=Path("runs/study"), help="runs and results")
    result.add_argument(
        "--cards", type=Path, nargs="*", default=[], help="folders of finished exports to use too"
    )
    result.add_argument("--models", nargs="+", default=list(MODELS), help="registered with timm")
    result.add_argument("--mixings", nargs="+", default=list(get_args(Mixing)))
    result.add_argument("--seeds", type=int, nargs="+", default=[0])
    result.add_argument(
        "--schedule", choices=sorted(SCHEDULES), default="short", help="runs of one training"
    )
    add_surroundings(result)
    changes = result.add_argument_group("recipe", "changes every run of the schedule")
    added = frozenset({"model", "mixing", "seed", "init"})
    add_recipe(changes, leave_out=added, defaults=False)
    return result


def main(arguments: Sequence[str]) -> None:
    """Train what is missing, then write ``study.json``, ``study.md`` and ``study.svg``.

    Raises:
        TrainingError: there is nothing to train and nothing finished, or a training fails.
    """
    options = parser().parse_args(arguments)
    exports = options.out / "exports"
    if options.data is None:
        report(finished([*options.cards, exports]), options.out)
        return
    with surroundings(options, options.out / "cache") as around:
        for planned in plan(options):
            if any(planned.is_told_by(card) for card in finished([*options.cards, exports])):
                around.report(f"{planned.place}: finished")
            else:
                carry_out(planned, options.out, exports / planned.place, around)
        if around.processes.first:
            report(finished([*options.cards, exports]), options.out)


def plan(options: argparse.Namespace) -> list[Planned]:
    """Every model with every mixing and seed, in the order of training."""
    names = {field.name for field in fields(Recipe)}
    changes = {key: value for key, value in vars(options).items() if key in names}
    return [
        Planned(
            tuple(
                Recipe(**{"model": model, "mixing": mixing, "seed": seed, **step, **changes})
                for step in SCHEDULES[options.schedule]
            )
        )
        for seed, model, mixing in product(options.seeds, options.models, options.mixings)
    ]


def carry_out(planned: Planned, out: Path, folder: Path, around: Surroundings) -> None:
    """Train ``planned``, from where an interrupted run was, and export it to ``folder``."""
    start = None
    last = len(planned.recipes) - 1
    for step, recipe in enumerate(planned.recipes):
        around.report(f"{planned.place}: run {step + 1} of {last + 1}")
        run = out / "runs" / f"{planned.place}.{step + 1}"
        if step < last:
            start = run_recipe(recipe, run, around, start=start, folder=run / "exported")
            continue
        try:
            run_recipe(recipe, run, replace(around, half=True), start=start, folder=folder)
        except HalfMovesAccuracy as reason:
            around.report(f"{planned.place}: kept in float32, {reason}")
            run_recipe(recipe, run, around, start=start, folder=folder)


def finished(folders: Sequence[Path]) -> list[dict[str, Any]]:
    """The cards of all exports in ``folders`` and in the folders in these."""
    return [card for folder in folders for card in _cards(folder)]


def _cards(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted([*folder.glob("*.json"), *folder.glob("*/*.json")]):
        card = json.loads(path.read_text(encoding="utf-8"))
        if "other_mixing" in card and "recipe" in card:
            yield card


def report(cards: Sequence[dict[str, Any]], out: Path) -> None:
    """Write table, numbers and plot of ``cards`` to ``out``."""
    rows = rows_of(cards)
    if not rows:
        raise TrainingError(
            "nothing to tell of: no finished export was found; give --data to train, or --cards"
        )
    write_json(out / "study.json", {"rows": rows})
    write_text(out / "study.md", study_table(rows))
    write_text(out / "study.svg", plot(rows))
    report_line(f"wrote {', '.join(str(out / f'study.{kind}') for kind in ('json', 'md', 'svg'))}")


def _without_start(recipe: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in recipe.items() if key != "init"}
