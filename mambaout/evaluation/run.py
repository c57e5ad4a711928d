"""Asking models about every picture of a folder, in one process or several, once each.

Pictures are taken in batches of the folder's order, and of k processes each takes every k-th batch:
a batch holds the same pictures however many processes there are and however often a run was killed,
so its answers are the same to the last bit. What is known is in the files of `records`; no process
talks to another.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mambaout.catalogue.mixing import Mixing
from mambaout.errors import Sentence
from mambaout.evaluation.decoding import DamagedPicture, decode
from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.files import differences, write_json
from mambaout.evaluation.matching import Matching
from mambaout.evaluation.models import LoadedModel, View
from mambaout.evaluation.picture_files import UNREADABLE, Picture, picture_reader
from mambaout.evaluation.records import Answer, Record, Recorded, Recorder

_CONFIGURATION = "configuration.json"
_PATIENCE_SECONDS = 1800.0  # the others may have to download their weights first
_POLL_SECONDS = 0.5

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    Prepared = dict[str, Tensor] | str
"""A picture as each model takes it, by `LoadedModel.preprocessing`; or why it cannot be read."""


@dataclass(frozen=True)
class Run:
    """What is evaluated.

    Attributes:
        pictures: those that at least one model is scored on.
        matchings: by model.
        batch_size: pictures that are decoded and run together.
        rank, world_size: which process of how many this is.
    """

    pictures: Sequence[Picture]
    models: Sequence[LoadedModel]
    mixings: Sequence[Mixing]
    matchings: Mapping[str, Matching]
    batch_size: int
    device: torch.device
    rank: int = 0
    world_size: int = 1

    def configuration(self) -> dict[str, str]:
        """Whatever the answers depend on; runs that differ in it cannot go on with each other."""
        named = hashlib.sha256()
        for picture in self.pictures:
            named.update(f"{picture.fingerprint} {' '.join(picture.classes)}\n".encode())
        entries = {
            "pictures": f"{len(self.pictures)}, digest {named.hexdigest()[:16]}",
            "models": " ".join(model.name for model in self.models),
            "mixing": " ".join(self.mixings),
            "batch size": str(self.batch_size),
            "device": self.device.type,
        }
        for model in self.models:
            entries[f"weights of {model.name}"] = model.sha256
            entries[f"preprocessing of {model.name}"] = model.preprocessing
        return entries

    def batches(self) -> list[range]:
        """All batches, as indices of pictures."""
        starts = range(0, len(self.pictures), self.batch_size)
        return [range(start, min(start + self.batch_size, len(self.pictures))) for start in starts]


def default_out(run: Run, folder_name: str) -> Path:
    """A folder of its own for each configuration, so that the same command goes on."""
    digest = hashlib.sha256(json.dumps(run.configuration(), sort_keys=True).encode()).hexdigest()
    return Path("runs") / "evaluation" / f"{folder_name}-{digest[:12]}"


def check_configuration(run: Run, out: Path) -> None:
    """Write the configuration to ``out``, or compare it with the one that is there.

    Raises:
        EvaluationError: the answers there were given to something else.
    """
    path, wanted = out / _CONFIGURATION, run.configuration()
    if not path.is_file():
        write_json(path, wanted)
        return
    changed = differences(json.loads(path.read_text(encoding="utf-8")), wanted)
    if changed:
        raise EvaluationError(
            f"{out} holds an evaluation of something else ({'; '.join(changed)}); choose another "
            f"--out, or delete that folder to start over"
        )


def answer_pictures(
    run: Run, out: Path, threads: int, begun: Callable[[int, int], Callable[[int], None]]
) -> None:
    """Have this process's share of the pictures answered, and the answers written to ``out``.

    Args:
        run: what is evaluated, and which process of how many this is.
        out: where answers are kept; all processes see the same folder.
        threads: that decode pictures.
        begun: called with the pictures that are done and those still to do; gives what is called
            with the number of pictures after each batch.

    Raises:
        EvaluationError: ``out`` belongs to another configuration or another run is writing to it, a
            batch does not fit into memory, or a model answers with no numbers.
    """
    check_configuration(run, out)
    with Recorder(out, run.rank) as recorder:
        recorded = Recorded(out)
        recorded.refresh()
        share = run.batches()[run.rank :: run.world_size]
        todo = [batch for batch in share if any(i not in recorded.by_index for i in batch)]
        pictures = sum(map(len, todo))
        told = begun(sum(map(len, share)) - pictures, pictures)
        for batch, prepared in _prepared(run, todo, threads):
            recorder.append(_answered(run, batch, prepared))
            told(len(batch))


def all_records(run: Run, out: Path, waiting: Callable[[int], None]) -> list[Record]:
    """The records of every picture, waited for while other processes write theirs.

    Args:
        run: what is evaluated.
        out: where answers are kept.
        waiting: called with the number of pictures that are missing, when it changes.

    Raises:
        EvaluationError: for half an hour none came.
    """
    recorded = Recorded(out)
    missing, since = -1, time.monotonic()
    while True:
        recorded.refresh()
        left = sum(i not in recorded.by_index for i in range(len(run.pictures)))
        if not left:
            return [recorded.by_index[i] for i in range(len(run.pictures))]
        now = time.monotonic()
        if left != missing:
            waiting(left)
            missing, since = left, now
        elif now - since > _PATIENCE_SECONDS:
            raise EvaluationError(
                f"{left} pictures are missing, and no other process has written to {out} for "
                f"{_PATIENCE_SECONDS / 60:.0f} minutes: start the same command again"
            )
        time.sleep(_POLL_SECONDS)


def _prepared(
    run: Run, batches: Sequence[range], threads: int
) -> Iterator[tuple[range, list[Prepared]]]:
    """Each batch with its pictures made ready, while the one before it is being answered."""
    transforms = {model.preprocessing: model.transform for model in run.models}
    with picture_reader() as read, ThreadPoolExecutor(max_workers=threads) as pool:

        def prepare(index: int) -> Prepared:
            try:
                picture = decode(read(run.pictures[index]))
            except DamagedPicture as error:
                return str(error)
            except UNREADABLE as error:
                return f"cannot be read: {getattr(error, 'strerror', None) or error}"
            return {key: transform(picture) for key, transform in transforms.items()}

        ahead: list[tuple[range, list[Future[Prepared]]]] = []
        for batch in batches:
            ahead.append((batch, [pool.submit(prepare, index) for index in batch]))
            if len(ahead) > 1:
                ready, futures = ahead.pop(0)
                yield ready, [future.result() for future in futures]
        for ready, futures in ahead:
            yield ready, [future.result() for future in futures]


def _answered(run: Run, batch: range, prepared: Sequence[Prepared]) -> list[Record]:
    import torch

    answers: dict[int, dict[str, Answer]] = {index: {} for index in batch}
    for model in run.models:
        matching = run.matchings[model.name]
        asked = {
            index: ready[model.preprocessing]
            for index, ready in zip(batch, prepared, strict=True)
            if isinstance(ready, dict) and matching.targets(run.pictures[index])
        }
        if not asked:
            continue
        images = torch.stack(list(asked.values())).to(run.device)
        for mixing, view in model.views.items():
            name = View(model.name, mixing)
            for index, answer in zip(asked, first_five(view, images, name), strict=True):
                answers[index][str(name)] = answer
    return [
        Record(index, run.pictures[index].name, damaged=ready)
        if isinstance(ready, str)
        else Record(index, run.pictures[index].name, answers[index])
        for index, ready in zip(batch, prepared, strict=True)
    ]


def first_five(model: nn.Module, images: Tensor, view: View) -> list[Answer]:
    """The likeliest outputs for each of ``images`` (b, 3, h, w), at most five.

    Raises:
        EvaluationError: the images do not fit into memory, or the answer is no number; the text
            calls the model ``view``.
    """
    import torch

    try:
        with torch.inference_mode():
            logits = model(images).float().cpu()  # (b, classes)
    except torch.OutOfMemoryError as error:
        raise EvaluationError(
            f"{len(images)} pictures at once do not fit into the device's memory: choose a smaller "
            f"--batch-size"
        ) from error
    if not logits.isfinite().all():
        raise EvaluationError(
            Sentence("{view} answers with numbers that are not finite", view=str(view))
        )
    confidences, outputs = logits.softmax(1).topk(min(5, logits.shape[1]))
    return [
        Answer(tuple(row), tuple(round(share, 6) for share in shares))
        for row, shares in zip(outputs.tolist(), confidences.tolist(), strict=True)
    ]
