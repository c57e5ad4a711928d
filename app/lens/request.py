"""What the lens shows of two models, computed step by step; arrays and words, no components."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from app import text as page_text
from app.language import tr
from app.lens import text
from app.loading import loading
from app.results import picture_digest
from app.store import LoadedModel, ModelStore
from mambaout.catalogue.mixing import Mixing
from mambaout.errors import MambaOutError
from mambaout.explain import (
    MixerActivity,
    PathTrace,
    TokenReads,
    mixer_activity,
    mixer_names,
    scan_layers,
    scan_trace,
    token_reads,
    why_no_scan,
)
from mambaout.explain.token_mixers import find_mixer

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
    error: str = ""


@dataclass(frozen=True, eq=False)
class Rows:
    """What some patches read: ``weights[i]`` is what patch ``patches[i]`` reads from all."""

    patches: np.ndarray  # (rows,) int64
    weights: np.ndarray  # (rows, h*w) float32


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
    readers: list[_Reader | None] = [None, None]
    for index, name in enumerate(names):
        title = store.card(name).title
        try:
            for model, status in loading(store, name, title):
                yield index, None, status
                if model is not None:
                    reader = _Reader(store, model, picture, digest, mixing, choice, index)
                    readers[index] = reader
                    yield index, reader.look(), tr(text.FOLLOWING)
        except MambaOutError as error:
            readers[index] = None
            yield index, Look(title, error=page_text.sentence(str(error))), tr(page_text.WORKING)
    for index, ready in enumerate(readers):
        if ready is not None:
            for rows, status in ready.rows(only):
                yield index, rows, status


class _Reader:
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
        self.store, self.model, self.picture = store, model, picture
        self.digest, self.notes = digest, list[str]()
        try:
            self.view: nn.Module = model.view(mixing)
        except TypeError as reason:
            mixing = "bidirectional"
            self.view = model.view(mixing)
            self.notes.append(page_text.stays_bidirectional(str(reason)))
        self.image = model.input_of(picture)
        width, height = picture.size
        left, top, right, bottom = model.framing.box(width, height)
        self.box = (left / width, top / height, right / width, bottom / height)
        self.layers = mixer_names(self.view)
        wanted = choice.layers[index]
        self.layer = find_mixer(self.view, wanted if wanted in self.layers else None)
        self.options: dict[str, Any] = {"measure": "jacobian"}
        scanning = why_no_scan(self.view) is None and self.layer in scan_layers(self.view)
        self.walks = _walks(self.view, self.image, self.layer, scanning)
        if choice.measure == "scan" and scanning:
            has = choice.path in {walk.path for walk in self.walks}
            self.options = {"measure": "scan", "signed": choice.signed}
            self.options["path"] = choice.path if has else None
        elif choice.measure == "scan":
            why = why_no_scan(self.view) or f"{self.layer} has no scan, though other layers have"
            self.notes += [page_text.sentence(why), tr(text.BY_GRADIENT)]
        self.key = ("lens", model.card.name, digest, mixing, self.layer, *self.options.values())
        self.first = self._read([0])
        self.patches = self.first.grid[0] * self.first.grid[1]

    def _read(self, tokens: list[int]) -> TokenReads:
        return token_reads(self.view, self.image, self.layer, **self.options, rows=tokens)

    def look(self) -> Look:
        first = self.first
        notes = [*self.notes, first.caveat]
        if self.patches > MOST_TOKENS:
            notes.insert(0, text.on_pointing(self.patches))
        return Look(
            title=self.model.card.title,
            digest=self.digest,
            seen=self.model.framing.seen(self.picture),
            box=self.box,
            layers=self.layers,
            layer=self.layer,
            grid=first.grid,
            walks=self.walks,
            unit=first.unit,
            signed=first.signed,
            notes=tuple(notes),
        )

    def rows(self, only: tuple[float, float] | None) -> Iterator[tuple[Rows, str]]:
        """The weights, all that are kept at once or in pieces of a second or so."""
        title = self.model.card.title
        at = self._patch(only or (0.5, 0.5))
        if only is not None or self.patches > MOST_TOKENS:
            yield self._piece([at]), text.reading(title, 1, self.patches)
            return
        try:
            kept = self.store.results.get(self.key, _not_kept)
        except LookupError:
            pieces: list[Rows] = []
            for piece in self._pieces(at):
                pieces.append(piece)
                found = sum(len(p.patches) for p in pieces)
                yield piece, text.reading(title, found, self.patches)
            patches = np.concatenate([piece.patches for piece in pieces])
            weights = np.concatenate([piece.weights for piece in pieces])
            self.store.results.get(self.key, lambda: Rows(patches, weights))
        else:
            yield kept, text.reading(title, self.patches, self.patches)

    def _pieces(self, at: int) -> Iterator[Rows]:
        """The patch `at` first, so that there is something to see, then all others."""
        yield self._piece([at])
        rest = [patch for patch in range(self.patches) if patch != at]
        size, done = 8, 0
        while done < len(rest):
            start = time.perf_counter()
            yield self._piece(rest[done : done + size])
            done += size
            if time.perf_counter() - start < _CHUNK_SECONDS / 2:
                size *= 2

    def _piece(self, patches: list[int]) -> Rows:
        at = self.first.class_token_index
        tokens = [patch + (at is not None and patch >= at) for patch in patches]
        return Rows(np.array(patches), self._read(tokens).patches())

    def _patch(self, place: tuple[float, float]) -> int:
        """The patch at a place of the picture, the nearest one where it is not seen."""
        height, width = self.first.grid
        left, top, right, bottom = self.box
        x = (place[0] - left) / (right - left) * width
        y = (place[1] - top) / (bottom - top) * height
        return min(max(int(y), 0), height - 1) * width + min(max(int(x), 0), width - 1)


def _not_kept() -> Rows:
    raise LookupError


def _walks(view: nn.Module, image: torch.Tensor, layer: str, scanning: bool) -> tuple[Walk, ...]:
    """The layer's scan paths; row by row where nothing is scanned, or in windows at once."""
    if scanning:
        traces = scan_trace(view, image, layers=[layer])
        if len({len(trace.order) for trace in traces}) == 1 and not any(
            "window" in trace.path for trace in traces
        ):
            return tuple(_walk(trace.path, trace) for trace in traces)
    (activity,) = mixer_activity(view, image, layers=[layer])
    return (_walk("", activity),)


def _walk(path: str, found: PathTrace | MixerActivity) -> Walk:
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
