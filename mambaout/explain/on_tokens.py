"""Numbers that come one for each token, laid out as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np


class OnTokens:
    """Mixed into what holds arrays with one entry per step: where each step's token is.

    An array may be None where a layer has no such quantity.
    """

    order: np.ndarray  # (l,) int64; order[t] is the token-axis position of entry t
    grid: tuple[int, int]  # (h, w) of the patches
    class_token_index: int | None  # the position on the token axis that is no patch
    units: ClassVar[Mapping[str, str]]  # by the quantity's name

    @property
    def quantities(self) -> tuple[str, ...]:
        """The `units` that there are numbers of."""
        return tuple(name for name in self.units if getattr(self, name) is not None)

    def on_grid(self, quantity: str) -> np.ndarray:
        """One of the `quantities` as a picture, (h, w) in raster order, the class token left out.

        NaN where no step is at a patch.

        Raises:
            ValueError: there is no such quantity.
        """
        return self._patches(self._values(quantity))

    def class_token(self, quantity: str) -> float | None:
        """One of the `quantities` at the class token; None if the layer has none.

        Raises:
            ValueError: there is no such quantity.
        """
        values = self._by_position(self._values(quantity))
        return None if self.class_token_index is None else float(values[self.class_token_index])

    def _values(self, quantity: str) -> np.ndarray:
        if quantity not in self.quantities:
            raise ValueError(
                f"quantity must be one of {', '.join(self.quantities)}, got {quantity!r}"
            )
        values: np.ndarray = getattr(self, quantity)
        return values

    def _patches(self, values: np.ndarray) -> np.ndarray:
        """Values (l, …) as (h, w, …)."""
        placed = self._by_position(values)
        if self.class_token_index is not None:
            placed = np.delete(placed, self.class_token_index, axis=0)
        return placed.reshape(*self.grid, *values.shape[1:])

    def _by_position(self, values: np.ndarray) -> np.ndarray:
        n_tokens = math.prod(self.grid) + (self.class_token_index is not None)
        placed = np.full((n_tokens, *values.shape[1:]), np.nan, np.float32)
        # A step at a later position is at no token: it fills up a window.
        at_token = self.order < n_tokens
        placed[self.order[at_token]] = values[at_token]
        return placed
