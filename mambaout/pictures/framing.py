"""Which part of a picture a model sees, so that its maps are drawn where they belong."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import Image

_DISPLAY_SIDE = 448  # [px]; a multiple of the grids' 7, 8, 14, 16 and 56


@dataclass(frozen=True)
class Framing:
    """timm's evaluation crop: the picture is resized, then the middle of it is cut out.

    Attributes:
        side: side of the square that the model is given [px].
        resized: length of the picture's shorter side before the cut [px].
        squashed: the longer side is made as short as the shorter one, instead of in proportion.
    """

    side: int
    resized: int
    squashed: bool = False

    @classmethod
    def of(cls, data_config: Mapping[str, Any]) -> Framing:
        """From what `timm.data.resolve_data_config` says of a model.

        Raises:
            ValueError: the model is given something else than a square from the middle.
        """
        _, height, width = data_config["input_size"]
        mode = data_config["crop_mode"]
        if height != width or mode not in {"center", "squash"}:
            raise ValueError(
                f"expected a square cut out of the middle, got {height}x{width} with "
                f"crop_mode={mode!r}"
            )
        return cls(height, math.floor(height / data_config["crop_pct"]), mode == "squash")

    def box(self, width: int, height: int) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of what is seen of a picture of this size [px]."""
        across = down = self.resized
        if not self.squashed:
            across = int(self.resized * max(1.0, width / height))
            down = int(self.resized * max(1.0, height / width))
        left, right = self._cut(across, width)
        top, bottom = self._cut(down, height)
        return left, top, right, bottom

    def _cut(self, resized: int, length: int) -> tuple[float, float]:
        """Where the square begins and ends along a side that is `length` before it is resized."""
        begin = round((resized - self.side) / 2)
        return begin * length / resized, min((begin + self.side) * length / resized, length)

    def seen(self, picture: Image.Image, display: int = _DISPLAY_SIDE) -> Image.Image:
        """What is seen of `picture`, as a square of `display` pixels, in full detail."""
        return picture.resize(
            (display, display), Image.Resampling.LANCZOS, box=self.box(*picture.size)
        )
