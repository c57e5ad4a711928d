"""From raw maps to pictures: colours, scales and the overlay. numpy and Pillow only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

# Cividis (Nuñez, Anderton & Renslow 2018): even steps of lightness, the same for people with and
# without red-green colour blindness. Position of 256 and red, green, blue; straight lines between
# them are within 3 of 255 of the published table, and lightness rises all the way.
_CIVIDIS = (
    (0, 0, 34, 78),
    (21, 0, 49, 112),
    (23, 1, 50, 113),
    (28, 18, 53, 112),
    (34, 30, 58, 111),
    (52, 54, 70, 108),
    (148, 144, 139, 120),
    (179, 174, 163, 113),
    (205, 201, 185, 101),
    (232, 231, 209, 80),
    (251, 253, 227, 52),
    (255, 254, 232, 56),
)
# Blue for against, orange for in favour, equally light at equal distance from a neutral zero.
_DIVERGING = (
    (0, 28, 93, 178),
    (64, 118, 155, 206),
    (128, 236, 236, 236),
    (192, 203, 143, 94),
    (255, 161, 76, 8),
)

MAP_OPACITY = 0.62  # enough to tell colours apart, and the picture stays recognisable
_STOPS_IN_LEGEND = 17


@dataclass(frozen=True)
class Scale:
    """The range of values that the colours span, and whether zero is in its middle.

    On an unsigned scale a greater value is never less bright.
    """

    low: float
    high: float
    signed: bool = False

    @classmethod
    def over(cls, maps: Sequence[np.ndarray], *, signed: bool = False) -> Scale:
        """One scale for all of `maps`: from their least to their greatest value.

        A signed scale reaches equally far on both sides of zero.
        """
        low = min(float(np.nanmin(values)) for values in maps)
        high = max(float(np.nanmax(values)) for values in maps)
        if signed:
            reach = max(abs(low), abs(high))
            low, high = -reach, reach
        return cls(low, high, signed)

    @classmethod
    def from_zero(cls, maps: Sequence[np.ndarray], *, signed: bool = False) -> Scale:
        """One scale for all of `maps` that are never negative: from zero up, if not signed."""
        scale = cls.over(maps, signed=signed)
        return scale if signed else cls(min(0.0, scale.low), scale.high)

    @classmethod
    def shared(cls, maps: Sequence[np.ndarray], *, signed: bool = False) -> Scale:
        """One scale for several heat maps, for their values `per_area`."""
        return cls.from_zero([per_area(values) for values in maps], signed=signed)

    def positions(self, values: np.ndarray) -> np.ndarray:
        """Where values lie on the scale, 0 to 1; on a scale without extent, in the middle."""
        if self.high == self.low:
            return np.full(values.shape, 0.5)
        return ((values.astype(np.float64) - self.low) / (self.high - self.low)).clip(0, 1)

    def colours(self, values: np.ndarray) -> np.ndarray:
        """Values (h, w) → red, green and blue (h, w, 3), float 0 to 255."""
        anchors = np.array(_DIVERGING if self.signed else _CIVIDIS, dtype=np.float64)
        positions = 255 * self.positions(values)
        channels = [np.interp(positions, anchors[:, 0], anchors[:, k]) for k in (1, 2, 3)]
        return np.stack(channels, axis=-1)

    def css_gradient(self) -> str:
        """The colours from low to high, as CSS."""
        ends = np.linspace(self.low, self.high, _STOPS_IN_LEGEND)
        if self.high == self.low:
            ends = np.full(_STOPS_IN_LEGEND, self.low)
        stops = self.colours(ends[None])[0].round().astype(int)
        return f"linear-gradient(90deg, {', '.join(f'rgb({r} {g} {b})' for r, g, b in stops)})"


def per_area(values: np.ndarray) -> np.ndarray:
    """A map's values times the number of its places, so that maps on different grids compare.

    The same evidence is spread over more places on a finer grid, and each of them holds less: per
    place, a map of 16 x 16 is fainter than one of 8 x 8 for no other reason. What one unit of
    area holds does not depend on the grid.
    """
    return values * values.size


def overlay(
    picture: Image.Image, values: np.ndarray, scale: Scale, opacity: float = MAP_OPACITY
) -> Image.Image:
    """A map's cells in colour over the picture in grey.

    Cells are enlarged without interpolation, so that a grid of 8 x 8 looks like one. The picture is
    grey so that every colour is the map's, and the map equally opaque everywhere so that equal
    values look equal. A cell without a value (NaN) stays grey.

    Args:
        picture: the part of the picture that the map covers, RGB.
        values: (h, w), the map on its own grid.
        scale: what the colours mean.
        opacity: of the map, 0 to 1.

    Raises:
        ValueError: the map is not (h, w), or holds infinite values.
    """
    if values.ndim != 2 or np.isinf(values).any():
        raise ValueError(f"expected a map (h, w) without infinities, got shape {values.shape}")
    grey = np.asarray(picture.convert("L"), dtype=np.float64)[..., None]
    rows, columns = (_enlarged(n, size) for n, size in zip(values.shape, grey.shape, strict=False))
    missing = np.isnan(values)
    colours = scale.colours(np.where(missing, scale.low, values))[rows][:, columns]
    opaque = (opacity * ~missing)[rows][:, columns][..., None]
    mixed = (1 - opaque) * grey + opaque * colours
    return Image.fromarray(mixed.round().astype(np.uint8))


def _enlarged(cells: int, pixels: int) -> np.ndarray:
    """The cell that each pixel's centre lies in."""
    return ((np.arange(pixels) + 0.5) * cells / pixels).astype(int)
