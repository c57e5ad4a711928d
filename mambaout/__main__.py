"""What the page does, without a page: classify or compare pictures, list models, follow a token.

    python -m mambaout classify picture.jpg --model vim_atto.tiny_imagenet
    python -m mambaout compare picture.jpg --left MODEL --right MODEL --out report.zip
    python -m mambaout token-reads picture.jpg --row 5 --column 9
    python -m mambaout models

Exit status: 0, or 2 with a sentence on standard error where it cannot be done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import torch
from PIL import Image
from torch import Tensor, nn

from mambaout.catalogue.mixing import Mixing
from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.errors import MambaOutError
from mambaout.evaluation.asking import answer, patch_reads
from mambaout.evaluation.comparison import ask
from mambaout.evaluation.comparison_report import PictureFacts, Report, as_json, write_report
from mambaout.evaluation.files import atomically
from mambaout.evaluation.models import LoadedModel, load_model
from mambaout.evaluation.said import Answered, Said
from mambaout.explain.cam_methods import METHODS
from mambaout.explain.measures import MEASURES
from mambaout.models.__main__ import main as models_command
from mambaout.pictures import open_picture
from mambaout.pictures.framing import Framing
from mambaout.pictures.overlay import Scale, overlay, per_area

MAMBAOUT, VIM = "mambaout_atto.tiny_imagenet", "vim_atto.tiny_imagenet"
_MIXINGS: tuple[Mixing, ...] = get_args(Mixing)


@dataclass(frozen=True, eq=False)
class _Asked:
    """A model of the evaluation as `mambaout.evaluation.asking` wants it."""

    loaded: LoadedModel
    device: torch.device

    @property
    def name(self) -> str:
        return self.loaded.name

    @property
    def vocabulary(self) -> Vocabulary:
        return self.loaded.classes.vocabulary

    def view(self, mixing: Mixing) -> nn.Module:
        if mixing in self.loaded.no_form:
            raise TypeError(self.loaded.no_form[mixing])
        return self.loaded.views[mixing]

    def input_of(self, picture: Image.Image) -> Tensor:
        return self.loaded.transform(picture).unsqueeze(0).to(self.device)

    def says(self, view: nn.Module, image: Tensor) -> Said:
        return ask(view, image, self.vocabulary)

    def seen(self, picture: Image.Image) -> Image.Image:
        """The part of the picture that the model sees."""
        return Framing.of(self.loaded.data_config).seen(picture)


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m mambaout",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = result.add_subparsers(dest="command", required=True)
    asking = argparse.ArgumentParser(add_help=False)
    asking.add_argument("picture", type=Path, help="JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF")
    asking.add_argument("--mixing", choices=_MIXINGS, default="bidirectional")
    asking.add_argument("--device", choices=("cpu", "cuda", "mps"), default="cpu")
    asking.add_argument("--json", action="store_true", help="print everything as JSON")
    one = commands.add_parser("classify", parents=[asking], help="what one model sees")
    one.add_argument("--model", default=MAMBAOUT, metavar="NAME")
    one.add_argument("--count", type=_positive, default=5, metavar="N", help="classes to show")
    two = commands.add_parser("compare", parents=[asking], help="what two models see, and why")
    two.add_argument("--left", default=MAMBAOUT, metavar="NAME")
    two.add_argument("--right", default=VIM, metavar="NAME")
    two.add_argument("--method", choices=METHODS, default="gradcam", help="of the heat maps")
    two.add_argument("--out", type=Path, metavar="FILE.zip", help="write the report there")
    reads = commands.add_parser("token-reads", parents=[asking], help="what one patch reads")
    reads.add_argument("--model", default=VIM, metavar="NAME")
    reads.add_argument("--layer", metavar="NAME", help="a mixer (default: the last one)")
    reads.add_argument("--measure", choices=MEASURES, default=MEASURES[0])
    reads.add_argument("--row", type=int, metavar="N", help="from 0 (default: the middle)")
    reads.add_argument("--column", type=int, metavar="N", help="from 0 (default: the middle)")
    commands.add_parser("models", help="every model with weights, and whether they are here")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    options = parser().parse_args(arguments)
    if options.command == "models":
        return models_command(["list"])
    run = {"classify": _classify, "compare": _compare, "token-reads": _token_reads}
    try:
        run[options.command](options, open_picture(options.picture))
    except (MambaOutError, OSError) as error:  # OSError: where the report cannot be written
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RuntimeError as error:
        if options.device == "cpu":
            raise
        print(f"error: {options.device}: {error}", file=sys.stderr)  # no such device, no memory
        return 2
    return 0


def _model(options: argparse.Namespace, name: str) -> _Asked:
    device = torch.device(options.device)
    mixings = _MIXINGS
    return _Asked(load_model(name, mixings, device), device)


def _classify(options: argparse.Namespace, picture: Image.Image) -> None:
    said = answer(_model(options, options.model), picture, options.mixing, "answer").said
    best = [
        (said.vocabulary.labels[i], float(said.probabilities[i])) for i in said.best(options.count)
    ]
    if options.json:
        _print({"model": options.model, "mixing": options.mixing, "classes": dict(best)})
        return
    for label, probability in best:
        print(f"{probability:6.1%}  {label}")


def _compare(options: argparse.Namespace, picture: Image.Image) -> None:
    models = {"left": _model(options, options.left), "right": _model(options, options.right)}
    answers = [
        answer(model, picture, options.mixing, side, options.method, scan=True)
        for side, model in models.items()
    ]
    report = Report(
        picture=PictureFacts.of(picture),
        options={"mixing": options.mixing, "method": options.method},
        device=options.device,
        answers=answers,
        pairs=[("left", "right")],
    )
    if options.out is not None:
        seen = {side: model.seen(picture) for side, model in models.items()}
        data = write_report(replace(report, maps=_overlays(answers, seen)))
        atomically(options.out, lambda partial: partial.write_bytes(data))
    if options.json:
        print(as_json(report))
        return
    for each in answers:
        print(f"{each.name} ({each.mixing})")
        for i in each.said.best():
            print(f"  {float(each.said.probabilities[i]):6.1%}  {each.said.vocabulary.labels[i]}")
    if options.out is not None:
        print(f"Everything is in {options.out}.")


def _overlays(answers: Sequence[Answered], seen: dict[str, Image.Image]) -> dict[str, Image.Image]:
    """The heat maps on one scale, drawn as the page draws them, by the names of their files."""
    heats = {each.id: each.heat for each in answers if each.heat is not None}
    if not heats:
        return {}
    signed = any(heat.signed for heat in heats.values())
    scale = Scale.shared([heat.values for heat in heats.values()], signed=signed)
    return {
        f"overlay_{side}": overlay(seen[side], per_area(heat.values), scale)
        for side, heat in heats.items()
    }


def _token_reads(options: argparse.Namespace, picture: Image.Image) -> None:
    found = patch_reads(
        _model(options, options.model),
        picture,
        options.mixing,
        layer=options.layer,
        measure=options.measure,
        row=options.row,
        column=options.column,
    )
    if options.json:
        _print(found.as_dict())
        return
    reads = found.reads
    print(f"{found.name} ({found.mixing}), {reads.layer}, row {found.row}, column {found.column}")
    print(f"{reads.unit}. {reads.caveat}")
    for row in found.values:
        print(" ".join(f"{value:8.3g}" for value in row))


def _print(value: dict[str, Any]) -> None:
    print(json.dumps(value, indent=1, ensure_ascii=False))


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number from 1, got {text}")
    return number


if __name__ == "__main__":
    sys.exit(main())
