"""The place of the picture that was picked in a lens."""

from __future__ import annotations

import gradio as gr

from app.language import tr
from app.lens.text import NO_PLACE
from mambaout.errors import MambaOutError

CENTRE = (0.5, 0.5)


def place_of(event: gr.EventData) -> tuple[float, float]:
    """What a lens says with its `select` event, in shares of the picture's sides.

    Raises:
        MambaOutError: it is no place.
    """
    place = getattr(event, "index", None)
    if (
        not isinstance(place, list)
        or len(place) != 2
        or not all(isinstance(x, int | float) and 0 <= x <= 1 for x in place)
    ):
        raise MambaOutError(tr(NO_PLACE))
    return place[0], place[1]
