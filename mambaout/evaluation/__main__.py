"""Accuracy of models on a folder of labelled pictures, in either mixing.

Reads ImageNet and Tiny-ImageNet (also in stored zips), Pascal VOC, and one folder per class named
by a class or its WordNet number. Orientation tags are not applied, as in timm's own evaluation.
A run that was stopped goes on with the same command.

Several devices: torchrun --nproc-per-node 4 -m mambaout.evaluation ... (on several machines with
an --out that all of them see).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import torch

from mambaout.catalogue.mixing import Mixing
from mambaout.errors import MambaOutError
from mambaout.evaluation.accuracy import count
from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.files import write_json, write_text
from mambaout.evaluation.folder import read_folder
from mambaout.evaluation.matching import match
from mambaout.evaluation.models import load_model, views_of
from mambaout.evaluation.picture_files import limited
from mambaout.evaluation.progress import Progress
from mambaout.evaluation.report import Evaluation, as_csv, as_dict
from mambaout.evaluation.run import Run, all_records, answer_pictures, default_out
from mambaout.evaluation.table import as_text


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="python -m mambaout.evaluation",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    result.add_argument("--data", type=Path, required=True, metavar="FOLDER")
    result.add_argument(
        "--models", nargs="+", required=True, metavar="NAME", help="names of timm.create_model"
    )
    result.add_argument(
        "--mixing", nargs="+", choices=get_args(Mixing), default=["bidirectional"], help="or both"
    )
    result.add_argument("--batch-size", type=_positive, default=64, metavar="N")
    result.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    result.add_argument(
        "--threads", type=_positive, metavar="N", help="CPU threads (default: all there are)"
    )
    result.add_argument(
        "--limit", type=_positive, default=0, metavar="N", help="pictures, classes in turn"
    )
    result.add_argument(
        "--out", type=Path, metavar="DIR", help="answers (default: runs/evaluation/...)"
    )
    result.add_argument("--json", type=Path, metavar="FILE", help="everything that was counted")
    result.add_argument("--csv", type=Path, metavar="FILE", help="every answer to every picture")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate and print; 2 and a sentence on standard error where that is impossible."""
    options = parser().parse_args(arguments)
    try:
        evaluate(options)
    except (MambaOutError, OSError) as error:  # a full disk, a folder that may not be written to
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped; the same command goes on\n")
        return 130
    return 0


def evaluate(options: argparse.Namespace) -> None:
    """Evaluate as ``options`` say. Of several processes, the first tells what came of it."""
    rank, world_size, local_rank = (
        int(os.environ.get(name, default))
        for name, default in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
    )
    if options.threads:
        torch.set_num_threads(options.threads)
    folder = read_folder(options.data)
    mixings = list(dict.fromkeys(options.mixing))
    device = _device(options.device, local_rank)
    models = [
        load_model(name, mixings, device, _download(name)) for name in dict.fromkeys(options.models)
    ]
    if not views_of(models):
        reasons = "; ".join(f"{m.name}: {reason}" for m in models for reason in m.no_form.values())
        raise EvaluationError(f"no model has the mixing that was asked for ({reasons})")
    matchings = match(folder, [model.classes for model in models])
    known = [p for p in folder.pictures if any(m.targets(p) for m in matchings.values())]
    pictures = limited(known, options.limit)
    run = Run(pictures, models, mixings, matchings, options.batch_size, device, rank, world_size)
    out = options.out or default_out(run, folder.name)
    answer_pictures(run, out, torch.get_num_threads(), _begun(run, out))
    if rank > 0:
        return
    records = all_records(run, out, _waiting)
    counted = count(pictures, records, views_of(models), matchings)
    evaluation = Evaluation(folder, run, options.limit, records, counted)
    if options.json:
        write_json(options.json, as_dict(evaluation))
    if options.csv:
        write_text(options.csv, as_csv(evaluation))
    print(as_text(evaluation), end="", flush=True)


def _begun(run: Run, out: Path) -> Callable[[int, int], Callable[[int], None]]:
    def begun(done: int, todo: int) -> Callable[[int], None]:
        if run.rank > 0:
            return lambda _: None
        share = f", the first of {run.world_size} shares" if run.world_size > 1 else ""
        earlier = f"; {done:,} are done already" if done else ""
        sys.stderr.write(
            f"{len(run.pictures):,} pictures on {run.device}{share}, answers in {out}{earlier}\n"
        )
        return Progress("pictures", todo).add

    return begun


def _waiting(missing: int) -> None:
    sys.stderr.write(f"waiting for other processes: {missing:,} pictures\n")


def _download(name: str) -> Callable[[int, int | None], None]:
    """Tells how far a download is, once it has begun."""
    begun: list[tuple[Progress, int]] = []

    def arrived(done: int, total: int | None) -> None:
        progress, before = begun[-1] if begun else (Progress(f"bytes of {name}", total or 0), 0)
        begun[:] = [(progress, done)]
        progress.add(done - before)

    return arrived


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def _device(choice: str, local_rank: int) -> torch.device:
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if choice == "auto":
        choice = next(name for name, here in present.items() if here)
    if not present[choice]:
        raise EvaluationError(
            f"--device {choice}: torch finds no such device here; use --device cpu"
        )
    if choice == "cuda":
        return torch.device("cuda", local_rank % torch.cuda.device_count())
    return torch.device(choice)


if __name__ == "__main__":
    sys.exit(main())
