"""One picture and one model: what it answers and why, in the form that reports are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from PIL import Image

from mambaout.catalogue.mixing import Mixing
from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.errors import said_by
from mambaout.evaluation.comparison import with_heat, with_trace
from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.said import Answered, Said

if TYPE_CHECKING:
    from torch import Tensor, nn

    from mambaout.explain import TokenReads

Progress = Callable[[int, int | None], None]

READS_SHARE = 0.9
"""The share of what a token reads, for which `as_dict` says how far away it is found."""


class Subject(Protocol):
    """A loaded model, as a page or a command holds it."""

    @property
    def name(self) -> str:
        """For `timm.create_model`."""

    @property
    def vocabulary(self) -> Vocabulary:
        """What it can say."""

    def view(self, mixing: Mixing) -> nn.Module:
        """The model in this mixing; a TypeError says why it has no such form."""

    def input_of(self, picture: Image.Image) -> Tensor:
        """The picture as the model takes it, (1, c, H, W)."""

    def says(self, view: nn.Module, image: Tensor) -> Said:
        """What one of the views says of such a picture."""


def answer(
    subject: Subject,
    picture: Image.Image,
    mixing: Mixing,
    id: str,  # noqa: A002 - as `Answered` calls it
    method: str | None = None,
    *,
    scan: bool = False,
    progress: Progress | None = None,
) -> Answered:
    """Ask one model, and explain its first answer as far as that is wanted.

    Args:
        subject: the model.
        picture: in mode RGB.
        mixing: the one it is to answer in.
        id: what to call the answer among others to the same picture.
        method: of the heat map, a key of `mambaout.explain.cam.METHODS`; None for no heat map.
        scan: whether to follow its scans.
        progress: called before each part, and within those that take long, with how much of it is
            done and of how much, where that is known; what it raises ends the work.

    Raises:
        EvaluationError: the model has no form with this mixing; the text says why.
    """
    view, image = _view(subject, mixing), subject.input_of(picture)
    found = Answered(id, subject.name, mixing, subject.says(view, image))
    if method is not None:
        _begin(progress)
        found = with_heat(found, view, image, method=method, progress=progress)
    if scan:
        _begin(progress)
        found = with_trace(found, view, image)
    return found


@dataclass(frozen=True, eq=False)
class PatchReads:
    """What one patch reads from all others, in one layer of a model."""

    name: str
    mixing: Mixing
    row: int
    column: int
    layers: tuple[str, ...]  # the mixers there are to choose from
    reads: TokenReads  # with the one row

    @property
    def values(self) -> np.ndarray:
        """What is read from each patch, (h, w) float32."""
        return self.reads.row(int(self.reads.rows[0]))

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        reads = self.reads
        return {
            "model": self.name,
            "mixing": self.mixing,
            "layer": reads.layer,
            "layers": list(self.layers),
            "measure": reads.measure,
            "row": self.row,
            "column": self.column,
            "grid": list(reads.grid),
            "unit": reads.unit,
            "caveat": reads.caveat,
            "values": [[float(value) for value in row] for row in self.values],
            "share_after": _finite(reads.share_after()[0]),
            "reach": _finite(reads.reach(READS_SHARE)[0]),
        }


def patch_reads(
    subject: Subject,
    picture: Image.Image,
    mixing: Mixing,
    *,
    layer: str | None = None,
    measure: str = "jacobian",
    row: int | None = None,
    column: int | None = None,
) -> PatchReads:
    """What one patch of the picture reads in one layer.

    Args:
        subject: the model.
        picture: in mode RGB.
        mixing: the one to ask in.
        layer: as for `mambaout.explain.token_reads`; None for the default one.
        measure: "jacobian" or "scan".
        row: of the reading patch, from 0; None for the middle one.
        column: the same.

    Raises:
        EvaluationError: the model has no form with this mixing, or the picture no such patch.
        ExplanationError: as `mambaout.explain.token_reads`.
    """
    from mambaout.explain import mixer_names, token_reads
    from mambaout.explain.token_mixers import find_mixer, run_mixer

    view, image = _view(subject, mixing), subject.input_of(picture)
    name = find_mixer(view, layer)
    run = run_mixer(view, image, name)
    height, width = run.grid
    row = height // 2 if row is None else row
    column = width // 2 if column is None else column
    if not (0 <= row < height and 0 <= column < width):
        raise EvaluationError(
            f"This layer has {height} rows and {width} columns of patches, counted from 0: there "
            f"is none in row {row}, column {column}."
        )
    token = row * width + column
    if run.class_token_index is not None and token >= run.class_token_index:
        token += 1
    reads = token_reads(view, image, name, measure, rows=[token])
    return PatchReads(subject.name, mixing, row, column, mixer_names(view), reads)


def _view(subject: Subject, mixing: Mixing) -> nn.Module:
    try:
        return subject.view(mixing)
    except TypeError as reason:
        raise EvaluationError(said_by(reason)) from reason


def _begin(progress: Progress | None) -> None:
    if progress is not None:
        progress(0, None)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
