"""Train a miniature: ``python -m mambaout.training --model vim_atto --data FOLDER``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_type_hints

import torch

from mambaout.errors import MambaOutError
from mambaout.models.checkpoints import file_sha256
from mambaout.training.config import Recipe, TrainingError
from mambaout.training.data import load_dataset
from mambaout.training.export import export
from mambaout.training.loop import train
from mambaout.training.processes import Processes, joined


def parser() -> argparse.ArgumentParser:
    """Every field of the recipe is an option, beside those that do not change the weights."""
    result = argparse.ArgumentParser(
        prog="python -m mambaout.training",
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    kinds = get_type_hints(Recipe)
    for field in fields(Recipe):
        required = field.default is MISSING
        kind = kinds[field.name] if kinds[field.name] in (int, float) else str
        result.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=kind,
            required=required,
            default=None if required else field.default,
            help=HELP[field.name],
        )
    result.add_argument("--data", type=Path, required=True, help="folder with train and val")
    result.add_argument("--out", type=Path, help="run directory (default: runs/<model>.<tag>)")
    result.add_argument("--cache", type=Path, help="decoded pictures (default: <out>/cache)")
    result.add_argument("--threads", type=int, default=0, help="CPU threads, 0: as torch decides")
    result.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    result.add_argument(
        "--evaluate-every", type=_positive, default=5, help="epochs between validations"
    )
    result.add_argument("--export", type=Path, help="write weights, card and manifest here")
    result.add_argument(
        "--as-it-is", action="store_true", help="train no further, export the last finished epoch"
    )
    result.add_argument("--half", action="store_true", help="export float16 if top-1 stays")
    result.add_argument("--tag", default="tiny_imagenet", help="tag of the exported weights")
    return result


HELP = {
    "model": "a model registered with timm, such as vim_atto or mambaout_atto",
    "classes": "everyday (24 classes), all, or a text file of class folders",
    "mixing": "bidirectional or causal token mixers",
    "epochs": "passes over the training pictures",
    "batch_size": "pictures per step, even",
    "lr": "highest learning rate",
    "min_lr": "learning rate at the end",
    "weight_decay": "AdamW weight decay",
    "warmup_epochs": "epochs of rising learning rate",
    "clip_grad": "largest norm of the gradient",
    "ema_decay": "decay of the averaged weights",
    "drop_path_rate": "stochastic depth",
    "label_smoothing": "share of the label spread over all classes",
    "mixup": "mixup alpha, 0: none",
    "cutmix": "cutmix alpha, 0: none",
    "mix_prob": "share of batches that are mixed",
    "crop_area": "smallest share of the picture in a crop",
    "color_jitter": "largest change of brightness, contrast, saturation",
    "sizes": "pixels:share of epochs, one after another",
    "precision": "float32 or bfloat16 (autocast)",
    "limit_train": "use only this many training pictures, 0: all",
    "seed": "of weights, order and augmentation",
    "init": "start from these weights (a file exported before) instead of random ones",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Train, then export where asked; 2 and a sentence on stderr where that is impossible."""
    options = parser().parse_args(arguments)
    try:
        run(options)
    except MambaOutError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def run(options: argparse.Namespace) -> None:
    """Train as ``options`` say."""
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    start = Path(options.init) if options.init else None
    chosen = {field.name: getattr(options, field.name) for field in fields(Recipe)}
    if start is not None:
        if not start.is_file():
            raise TrainingError(f"--init must name a file of weights, {start} is none")
        chosen["init"] = file_sha256(start)
    recipe = Recipe(**chosen)
    with joined(_device(options.device)) as (processes, device):
        _run(options, recipe, start, processes, device)


def _run(
    options: argparse.Namespace,
    recipe: Recipe,
    start: Path | None,
    processes: Processes,
    device: torch.device,
) -> None:
    report = _report if processes.first else _silent
    tag = options.tag + ("_causal" if recipe.mixing == "causal" else "")
    out = options.out or Path("runs") / f"{recipe.model}.{tag}"
    with processes.first_goes_ahead():
        data = load_dataset(options.data, recipe, options.cache or out / "cache", report)
    report(
        f"{recipe.model}, {recipe.mixing}: {len(data.train)} training and {len(data.val)} "
        f"validation pictures of {len(data.classes)} classes, on "
        f"{f'{processes.count} processes, ' if processes.count > 1 else ''}{device} with "
        f"{torch.get_num_threads()} threads"
    )
    result = train(
        recipe,
        data,
        out,
        device=device,
        start=start,
        evaluate_every=options.evaluate_every,
        further=not options.as_it_is,
        processes=processes,
        report=report,
    )
    if options.export and processes.first:
        paths = export(
            result, recipe, data, options.export, tag, start=start, half=options.half, device=device
        )
        report(f"wrote {', '.join(str(path) for path in paths)}")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _device(choice: str) -> torch.device:
    if choice == "cuda" and not torch.cuda.is_available():
        raise TrainingError("--device cuda needs a CUDA GPU, none is there; use --device cpu")
    if choice == "auto":
        choice = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(choice)


def _report(line: str) -> None:
    print(line, flush=True)


def _silent(line: str) -> None:
    """All but one of several processes hold their tongues."""


if __name__ == "__main__":
    sys.exit(main())
