"""Train a miniature: ``python -m mambaout.training --model vim_atto --data FOLDER``.

``python -m mambaout.training measure`` and ``study`` have options of their own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

from mambaout.errors import MambaOutError
from mambaout.training import measure, study
from mambaout.training.config import Recipe
from mambaout.training.export import tag_of
from mambaout.training.options import add_recipe, add_surroundings, report_line, surroundings
from mambaout.training.run import run_recipe


def parser() -> argparse.ArgumentParser:
    """Every field of the recipe is an option, beside those that do not change the weights."""
    result = argparse.ArgumentParser(
        prog="python -m mambaout.training",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add_recipe(result)
    result.add_argument("--data", type=Path, required=True, help="folder with train and val")
    result.add_argument("--out", type=Path, help="run directory (default: runs/<model>.<tag>)")
    add_surroundings(result)
    result.add_argument("--export", type=Path, help="write weights, card and manifest here")
    result.add_argument(
        "--as-it-is", action="store_true", help="train no further, export the last finished epoch"
    )
    result.add_argument("--half", action="store_true", help="export float16 if top-1 stays")
    result.add_argument("--tag", default="tiny_imagenet", help="tag of the exported weights")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, then export where asked; 2 and a sentence on stderr where that is impossible."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if given[:1] == ["measure"]:
            measure.main(given[1:], report_line)
        elif given[:1] == ["study"]:
            study.main(given[1:])
        else:
            run(parser().parse_args(given))
    except MambaOutError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Train as ``options`` say."""
    recipe = Recipe(
        **{f.name: getattr(options, f.name) for f in fields(Recipe) if f.name != "init"}
    )
    out = options.out or Path("runs") / f"{recipe.model}.{tag_of(recipe, options.tag)}"
    with surroundings(options, out / "cache") as given:
        around = replace(
            given,
            further=not options.as_it_is,
            half=options.half,
            tag=options.tag,
        )
        start = Path(options.init) if options.init else None
        run_recipe(recipe, out, around, start=start, folder=options.export)


if __name__ == "__main__":
    sys.exit(main())
