"""One layer of one model on one picture: what its tokens read, each measured once and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from app.store import LoadedModel, ModelStore
from mambaout import explain
from mambaout.catalogue.mixing import Mixing


@dataclass(frozen=True, eq=False)
class Rows:
    """What some patches read: ``weights[i]`` is what patch ``patches[i]`` reads from all."""

    patches: np.ndarray  # (rows,) int64
    weights: np.ndarray  # (rows, h*w) float32


class Reader:
    """A layer of a model in one mixing, and what is read there.

    Args:
        store: keeps what was measured, for whoever asks the same again.
        model: the model.
        picture: the visitor's.
        digest: of the picture.
        mixing: of the model's tokens.
        layer: of `mixer_names`; None, or one that the model lacks, means its default.
        options: of `token_reads`, beside the layer.

    Raises:
        TypeError: the model has no causal form, and was asked for it; the text says why.
    """

    def __init__(
        self,
        store: ModelStore,
        model: LoadedModel,
        picture: Image.Image,
        digest: str,
        mixing: Mixing,
        layer: str | None,
        **options: Any,
    ) -> None:
        self.view = model.view(mixing)
        self.image = model.input_of(picture)
        width, height = picture.size
        left, top, right, bottom = model.framing.box(width, height)
        self.box = (left / width, top / height, right / width, bottom / height)
        self.layers = explain.mixer_names(self.view)
        self.layer = explain.find_mixer(self.view, layer if layer in self.layers else None)
        self._options = options
        self.key = ("lens", model.card.name, digest, mixing, self.layer, *options.values())
        self._kept = store.results
        self.first = self._kept.get((*self.key, "first"), lambda: self._measured([0]))
        self.grid = self.first.grid
        self.patches = self.grid[0] * self.grid[1]

    def row(self, patch: int) -> Rows:
        """What one patch reads."""
        kept = self.all_kept()
        if kept is None:
            return self._kept.get((*self.key, patch), lambda: self.piece([patch]))
        (at,) = np.flatnonzero(kept.patches == patch)
        return Rows(kept.patches[[at]], kept.weights[[at]])

    def piece(self, patches: Sequence[int]) -> Rows:
        """What some patches read, measured now."""
        at = self.first.class_token_index
        tokens = [patch + (at is not None and patch >= at) for patch in patches]
        return Rows(np.array(patches), self._measured(tokens).patches())

    def all_kept(self) -> Rows | None:
        """What all patches read, if it was kept."""
        try:
            return self._kept.get(self.key, _not_kept)
        except LookupError:
            return None

    def keep_all(self, pieces: Sequence[Rows]) -> None:
        """Keep what all patches read."""
        patches = np.concatenate([piece.patches for piece in pieces])
        weights = np.concatenate([piece.weights for piece in pieces])
        self._kept.get(self.key, lambda: Rows(patches, weights))

    def patch(self, place: tuple[float, float]) -> int:
        """The patch at a place of the picture, the nearest one where it is not seen."""
        height, width = self.grid
        left, top, right, bottom = self.box
        x = (place[0] - left) / (right - left) * width
        y = (place[1] - top) / (bottom - top) * height
        return min(max(int(y), 0), height - 1) * width + min(max(int(x), 0), width - 1)

    def _measured(self, tokens: Sequence[int]) -> explain.TokenReads:
        return explain.token_reads(self.view, self.image, self.layer, **self._options, rows=tokens)


def _not_kept() -> Rows:
    raise LookupError
