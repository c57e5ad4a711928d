"""Handlers' values put into components: by the name of the place that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from PIL import Image

from app.page import Components, Updates

Values = dict[str, Any]  # by place
Show = Callable[[Any], Any]


@dataclass(frozen=True)
class Picture:
    """A picture and what it shows, in words."""

    image: Image.Image
    alt: str


@dataclass(frozen=True)
class Control:
    """What a chooser offers now, and what it stands on."""

    value: Any
    choices: tuple[Any, ...]


def placed(
    places: Components, handler: Callable[..., Iterator[Values]], shows: Mapping[str, Show]
) -> Callable[..., Iterator[Updates]]:
    """A handler's values on the components they are for.

    Args:
        places: by their names; "status" among them.
        handler: a generator of values by the name of a place.
        shows: how a value is shown, by the last part of its place's name; the others are HTML.
    """
    # A generator that ends without a value, or with one that is empty, would empty all its outputs.
    nothing = {places["status"]: gr.skip()}

    def run(*inputs: Any) -> Iterator[Updates]:
        for values in handler(*inputs):
            yield nothing | {
                places[name]: shows.get(name.rpartition("_")[2], show_html)(value)
                for name, value in values.items()
            }

    return run


def show_html(value: str) -> gr.HTML:
    return gr.HTML(value=value, visible=bool(value))


def show_image(value: Picture | None) -> gr.Image:
    if value is None:
        return gr.Image(value=None, visible=False)
    return gr.Image(value=value.image, alt_text=value.alt, visible=True)


def keep(value: Any) -> Any:
    """For what is remembered and not shown."""
    return value
