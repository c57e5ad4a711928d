"""The picture input of the page: `gradio.Image`, behind the gate of `mambaout.pictures`."""

from __future__ import annotations

import gradio as gr
from gradio.data_classes import ImageData
from PIL import Image

from app.language import told
from app.uploads import refusal, uploaded, uploads_only
from mambaout.pictures import read_picture
from mambaout.pictures.errors import Rejected

NOTES = "notes"


@uploads_only
class SafeImage(gr.Image):
    """An image input whose every bad file ends in one sentence for the visitor.

    `gradio.Image` fails in `preprocess` without a message in the browser. It also decodes `data:`
    URLs, which no upload limit sees, and fetches `http:` URLs from the server. Here a picture comes
    from an upload and nowhere else. Handlers always get a PIL image, as `type="pil"` promises.
    """

    is_template = True  # the browser shows it as the Image it is

    def preprocess(self, payload: ImageData | None) -> Image.Image | None:
        """The uploaded picture, in mode RGB and upright, with its notes (see `notes_of`).

        Raises:
            gr.Error: with the sentence of `Rejected`, or because it is no upload.
        """
        if payload is None:
            return None
        path = uploaded(payload.path)
        try:
            picture = read_picture(path)
        except Rejected as rejected:
            raise refusal(told(rejected.sentence)) from rejected
        picture.image.info[NOTES] = picture.notes
        return picture.image


def notes_of(image: Image.Image) -> tuple[str, ...]:
    """What there is to say about a picture that a `SafeImage` handed to a handler."""
    return tuple(told(note) for note in image.info.get(NOTES, ()))
