"""One recipe from pictures to exported weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mambaout.catalogue.hashing import file_sha256
from mambaout.training.config import Recipe, TrainingError
from mambaout.training.data import load_dataset, load_others
from mambaout.training.export import export, tag_of
from mambaout.training.loop import train
from mambaout.training.processes import Processes

Report = Callable[[str], None]


@dataclass(frozen=True)
class Surroundings:
    """What a run needs and what does not change its weights.

    Attributes:
        data: folder with train and val.
        cache: folder for decoded pictures.
        evaluate_every: epochs between validations.
        further: False takes a run as far as it has got.
        half: export float16, if the accuracy stays.
        tag: of the exported weights; "_causal" is added where they are trained so.
    """

    data: Path
    cache: Path
    device: torch.device
    processes: Processes
    report: Report
    evaluate_every: int = 5
    further: bool = True
    half: bool = False
    tag: str = "tiny_imagenet"


def run_recipe(
    recipe: Recipe,
    out: Path,
    around: Surroundings,
    *,
    start: Path | None = None,
    folder: Path | None = None,
) -> Path | None:
    """Train in the run directory ``out``, from the weights in ``start`` where they are given.

    Returns:
        The weights exported to ``folder``, once every process can read them; None without one.
    """
    if start is not None:
        if not start.is_file():
            raise TrainingError(f"--init must name a file of weights, {start} is none")
        recipe = replace(recipe, init=file_sha256(start))
    processes, report = around.processes, around.report
    with processes.first_goes_ahead():
        data = load_dataset(around.data, recipe, around.cache, report)
    report(
        f"{recipe.model}, {recipe.mixing}: {len(data.train)} training and {len(data.val)} "
        f"validation pictures of {len(data.classes)} classes, on "
        f"{f'{processes.count} processes, ' if processes.count > 1 else ''}{around.device} with "
        f"{torch.get_num_threads()} threads"
    )
    result = train(
        recipe,
        data,
        out,
        device=around.device,
        start=start,
        evaluate_every=around.evaluate_every,
        further=around.further,
        processes=processes,
        report=report,
    )
    if folder is None:
        return None
    tag = tag_of(recipe, around.tag)
    if processes.first:
        others = load_others(around.data, data.classes, recipe.picture_size, around.cache, report)
        paths = export(
            result,
            recipe,
            data,
            folder,
            tag,
            start=start,
            half=around.half,
            device=around.device,
            others=others,
        )
        report(f"wrote {', '.join(str(path) for path in paths)}")
    processes.wait()
    return folder / f"{recipe.model}.{tag}.safetensors"
