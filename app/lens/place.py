"""The place of the picture that was picked in a lens."""

from __future__ import annotations

import gradio as gr

from app.language import tr
from app.lens.text import NO_PLACE
from app.link_readers import like
from mambaout.errors import MambaOutError

CENTRE = (0.5, 0.5)
AT_CENTRE = "0.5,0.5"  # as a link says it
_SHARE = r"(?:0|1|0\.[0-9]{1,4})"
read_place = like(f"{_SHARE},{_SHARE}")
# A module's name; whether a model has it shows when the model is there.
layer_name = like(r"[a-z_0-9]{1,20}(?:\.[a-z_0-9]{1,20}){1,7}")


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
