"""Command line options that several commands share."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import get_type_hints

import torch

from mambaout.training.config import Recipe, TrainingError
from mambaout.training.processes import joined
from mambaout.training.run import Surroundings

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


def add_recipe(
    parser: argparse._ActionsContainer,
    *,
    leave_out: frozenset[str] = frozenset(),
    defaults: bool = True,
) -> None:
    """An option for every field of `Recipe`; without ``defaults`` only those given are set."""
    kinds = get_type_hints(Recipe)
    for field in fields(Recipe):
        if field.name in leave_out:
            continue
        required = field.default is MISSING
        kind = kinds[field.name] if kinds[field.name] in (int, float) else str
        default = field.default if defaults and not required else argparse.SUPPRESS
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=kind,
            required=required,
            default=default,
            help=HELP[field.name],
        )


def add_surroundings(parser: argparse.ArgumentParser) -> None:
    """Options that change no weights."""
    parser.add_argument("--cache", type=Path, help="decoded pictures (default: <out>/cache)")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads, 0: as torch decides")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--evaluate-every", type=_positive, default=5, help="epochs between validations"
    )


@contextlib.contextmanager
def surroundings(options: argparse.Namespace, cache: Path) -> Iterator[Surroundings]:
    """Data, threads, device and processes of a command."""
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    with joined(_device(options.device)) as (processes, device):
        report = report_line if processes.first else _silent
        yield Surroundings(
            options.data,
            options.cache or cache,
            device,
            processes,
            report,
            evaluate_every=options.evaluate_every,
        )


def report_line(line: str) -> None:
    """Print a line of progress at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _silent(line: str) -> None:
    """All but one of several processes hold their tongues."""


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
