"""What the lens shows of two models, computed step by step; arrays and words, no components."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from app import text as page_text
from app.language import told, tr
from app.lens import text
from app.lens.reader import Reader, Rows
from app.loading import loading
from app.results import picture_digest
from app.store import LoadedModel, ModelStore
from mambaout import explain
from mambaout.catalogue.mixing import Mixing
from mambaout.errors import MambaOutError, said_by

if TYPE_CHECKING:
    import torch
    from torch import nn


# All are measured of so many tokens, and sent at once, 0.4 MB; of more, those pointed at.
MOST_TOKENS = 400
_CHUNK_SECONDS = 0.7  # between two signs of life


@dataclass(frozen=True)
class Choice:
    """How the visitor wants one layer of each model measured."""

    layers: tuple[str | None, str | None]  # a layer that the model lacks means its default
    measure: str = "jacobian"
    path: str = text.ALL_PATHS
    signed: bool = False


@dataclass(frozen=True, eq=False)
class Walk:
    """One way through the tokens of a layer, and what happens at each step."""

    path: str  # of the scan; "" for row by row, where no state is handed on
    order: np.ndarray  # (steps,) patch at each step; -1 at a token that is no patch
    curves: dict[str, np.ndarray]  # (steps,) each, by quantity
    units: dict[str, str]


@dataclass(frozen=True, eq=False)
class Look:
    """One layer of one model, all but the weights."""

    title: str
    digest: str = ""  # of the picture
    seen: Image.Image | None = None  # what the model sees
    box: tuple[float, float, float, float] = (0, 0, 1, 1)  # of the picture, in shares of its sides
    layers: tuple[str, ...] = ()
    layer: str = ""
    grid: tuple[int, int] = (1, 1)
    walks: tuple[Walk, ...] = ()
    unit: str = ""
    signed: bool = False
    notes: tuple[str, ...] = ()  # what a reader must know, sentence by sentence
    pointed: bool = False  # a row is measured when it is pointed at, and none comes by itself
    error: str = ""
    line: str = ""  # panes of the same line stand side by side
    scale: int | None = None  # the pane whose colour scale is this one's too
    of: tuple[int, int] | None = None  # the panes whose difference this one is: first less second


Step = tuple[int, Look | Rows | None, str]  # which model, what is new of it, what is being done


def look(
    store: ModelStore,
    picture: Image.Image,
    names: tuple[str, str],
    mixing: Mixing,
    choice: Choice,
    only: tuple[float, float] | None = None,
) -> Iterator[Step]:
    """Look at both models; first what their layers are, then what their tokens read.

    Args:
        store: the models.
        picture: the visitor's.
        names: of the two models.
        mixing: of their tokens.
        choice: the layers and the measure.
        only: a place of the picture, in shares of its sides; only the tokens there are measured.
    """
    digest = picture_digest(picture)
    halves: list[_Half | None] = [None, None]
    for index, name in enumerate(names):
        title = store.card(name).title
        try:
            for model, status in loading(store, name, title):
                yield index, None, status
                if model is not None:
                    half = _Half(store, model, picture, digest, mixing, choice, index)
                    halves[index] = half
                    yield index, half.look(), tr(text.FOLLOWING)
        except MambaOutError as error:
            halves[index] = None
            yield (
                index,
                Look(title, error=page_text.sentence(said_by(error))),
                tr(page_text.WORKING),
            )
    for index, ready in enumerate(halves):
        if ready is not None:
            for rows, status in ready.rows(only):
                yield index, rows, status


class _Half:
    """One model's half of a request."""

    def __init__(
        self,
        store: ModelStore,
        model: LoadedModel,
        picture: Image.Image,
        digest: str,
        mixing: Mixing,
        choice: Choice,
        index: int,
    ) -> None:
        self.model, self.picture, self.digest = model, picture, digest
        self.notes = list[str]()
        try:
            view = model.view(mixing)
        except TypeError as reason:
            mixing = "bidirectional"
            view = model.view(mixing)
            self.notes.append(page_text.stays_bidirectional(said_by(reason)))
        image = model.input_of(picture)
        wanted = choice.layers[index]
        layer = explain.find_mixer(view, wanted if wanted in explain.mixer_names(view) else None)
        scanning = explain.why_no_scan(view) is None and layer in explain.scan_layers(view)
        kept = ("walks", model.card.name, digest, mixing, layer)
        self.walks = store.results.get(kept, lambda: _walks(view, image, layer, scanning))
        options: dict[str, Any] = {"measure": "jacobian"}
        if choice.measure == "scan" and scanning:
            has = choice.path in {walk.path for walk in self.walks}
            options = {"measure": "scan", "signed": choice.signed}
            options["path"] = choice.path if has else None
        elif choice.measure == "scan":
            why = explain.why_no_scan(view) or tr(text.NO_SCAN_THERE, layer=layer)
            self.notes += [page_text.sentence(why), tr(text.BY_GRADIENT)]
        self.reader = Reader(store, model, picture, digest, mixing, layer, **options)

    def look(self) -> Look:
        reader, first = self.reader, self.reader.first
        notes = [*self.notes, told(first.caveat)]
        pointed = reader.patches > MOST_TOKENS
        if pointed:
            notes.insert(0, text.on_pointing(reader.patches))
        return Look(
            title=self.model.card.title,
            digest=self.digest,
            seen=self.model.framing.seen(self.picture),
            box=reader.box,
            layers=reader.layers,
            layer=reader.layer,
            grid=first.grid,
            walks=self.walks,
            unit=told(first.unit),
            signed=first.signed,
            notes=tuple(notes),
            pointed=pointed,
        )

    def rows(self, only: tuple[float, float] | None) -> Iterator[tuple[Rows, str]]:
        """The weights, all that are kept at once or in pieces of a second or so."""
        title, reader = self.model.card.title, self.reader
        at = reader.patch(only or (0.5, 0.5))
        if only is not None or reader.patches > MOST_TOKENS:
            yield reader.row(at), text.reading(title, 1, reader.patches)
            return
        kept = reader.all_kept()
        if kept is not None:
            yield kept, text.reading(title, reader.patches, reader.patches)
            return
        pieces: list[Rows] = []
        for piece in self._pieces(at):
            pieces.append(piece)
            found = sum(len(p.patches) for p in pieces)
            yield piece, text.reading(title, found, reader.patches)
        reader.keep_all(pieces)

    def _pieces(self, at: int) -> Iterator[Rows]:
        """The patch `at` first, so that there is something to see, then all others."""
        yield self.reader.piece([at])
        rest = [patch for patch in range(self.reader.patches) if patch != at]
        size, done = 8, 0
        while done < len(rest):
            start = time.perf_counter()
            yield self.reader.piece(rest[done : done + size])
            done += size
            if time.perf_counter() - start < _CHUNK_SECONDS / 2:
                size *= 2


def _walks(view: nn.Module, image: torch.Tensor, layer: str, scanning: bool) -> tuple[Walk, ...]:
    """The layer's scan paths; row by row where nothing is scanned, or in windows at once."""
    if scanning:
        traces = explain.scan_trace(view, image, layers=[layer])
        if len({len(trace.order) for trace in traces}) == 1 and not any(
            "window" in trace.path for trace in traces
        ):
            return tuple(_walk(trace.path, trace) for trace in traces)
    (activity,) = explain.mixer_activity(view, image, layers=[layer])
    return (_walk("", activity),)


def _walk(path: str, found: explain.PathTrace | explain.MixerActivity) -> Walk:
    patches, at = found.grid[0] * found.grid[1], found.class_token_index
    order = found.order.astype(np.int64)
    if at is not None:
        order = np.where(order == at, -1, order - (order > at))
    return Walk(
        path=path,
        order=np.where(order < patches, order, -1),
        curves={name: getattr(found, name) for name in found.quantities},
        units={name: found.units[name] for name in found.quantities},
    )
