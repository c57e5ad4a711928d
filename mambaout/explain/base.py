"""What an explanation is: numbers with a unit, before anybody colours them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor, nn

from mambaout.errors import ExplanationError, Sentence, said_by
from mambaout.models import TokenGrid, token_grid


@dataclass(frozen=True, eq=False)
class Explanation:
    """A map over the picture, as computed: not resized, not rescaled, not coloured.

    Two maps of one method may share a colour scale, because neither was stretched to fill its own.
    """

    values: np.ndarray  # (h, w) float32, on the grid of tokens it was computed on
    unit: str  # what one unit of `values` means, shown beside the colour bar
    signed: bool  # True: zero is neutral; False: zero is the least
    method: str  # as it was asked for: "gradcam", …
    layer: str  # the module whose output was explained
    class_index: int | None  # the class explained; None where the method knows no classes
    caveat: str = ""  # what a reader must know before believing the map
    versus: int | None = None  # the class it was explained against; None where there was none


def check_picture(image: Tensor) -> None:
    """Raise ExplanationError unless ``image`` is one picture, (1, c, H, W), of finite values."""
    if image.ndim != 4 or len(image) != 1:
        raise ExplanationError(f"expected one picture (1, c, H, W), got shape {tuple(image.shape)}")
    if not image.isfinite().all():
        raise ExplanationError(
            Sentence("the picture holds values that are infinite or not a number")
        )


def find_tokens(model: nn.Module) -> TokenGrid:
    """Where ``model`` keeps its tokens.

    Raises:
        ExplanationError: it has not said so.
    """
    try:
        return token_grid(model)
    except TypeError as error:
        raise ExplanationError(said_by(error)) from error


def lay_out(tokens: TokenGrid, features: Tensor) -> Tensor:
    """A layer's output as (b, c, h, w), the class token left out.

    Raises:
        ExplanationError: it has more or fewer tokens than the model's own grid.
    """
    try:
        return tokens.to_nchw(features)
    except ValueError as error:
        raise ExplanationError(said_by(error)) from error
