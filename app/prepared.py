"""One picture made ready for several models, once for all that take it in the same way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PIL import Image

from app.store import LoadedModel
from mambaout.pictures.framing import Framing

if TYPE_CHECKING:
    import torch


class Prepared:
    """A decoded picture, and what models are given of it; for the time of one request."""

    def __init__(self, picture: Image.Image) -> None:
        self._picture = picture
        self._inputs: dict[tuple[Any, str], torch.Tensor] = {}
        self._seen: dict[Framing, Image.Image] = {}

    def input_of(self, model: LoadedModel) -> torch.Tensor:
        """As `LoadedModel.input_of`; models may share the tensor, so nobody writes to it."""
        key = model.transform, model.device
        if key not in self._inputs:
            self._inputs[key] = model.input_of(self._picture)
        return self._inputs[key]

    def seen_by(self, model: LoadedModel) -> Image.Image:
        """The part of the picture that the model sees, as `Framing.seen`."""
        framing = model.framing
        if framing not in self._seen:
            self._seen[framing] = framing.seen(self._picture)
        return self._seen[framing]
