"""The picture input of the page: `gradio.Image`, behind the gate of `mambaout.pictures`."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder
from PIL import Image

from mambaout.pictures import read_picture
from mambaout.pictures.errors import Rejected

NOTES = "notes"
ONLY_UPLOADS = "Please choose a picture from this device: addresses and embedded data are refused."


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
        if payload.path is None or not _is_upload(payload.path):
            raise _refusal(ONLY_UPLOADS)
        try:
            picture = read_picture(payload.path)
        except Rejected as rejected:
            raise _refusal(rejected.sentence) from rejected
        picture.image.info[NOTES] = picture.notes
        return picture.image

    async def async_move_resource_to_block_cache(
        self, url_or_file_path: str | Path | None
    ) -> str | None:
        """As in gradio, which calls this before `preprocess`, but without fetching a URL."""
        _refuse_url(url_or_file_path)
        return await super().async_move_resource_to_block_cache(url_or_file_path)

    def move_resource_to_block_cache(self, url_or_file_path: str | Path | None) -> str | None:
        """As in gradio, but without fetching a URL."""
        _refuse_url(url_or_file_path)
        return super().move_resource_to_block_cache(url_or_file_path)


def notes_of(image: Image.Image) -> tuple[str, ...]:
    """What there is to say about a picture that a `SafeImage` handed to a handler."""
    notes: tuple[str, ...] = image.info.get(NOTES, ())
    return notes


def _is_upload(path: str) -> bool:
    """Whether `path`, with its links followed, lies where gradio stores uploads."""
    try:
        return Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve())
    except (OSError, ValueError):  # a name that no file can have
        return False


def _refuse_url(url_or_file_path: str | Path | None) -> None:
    if str(url_or_file_path).lower().startswith(("http://", "https://")):
        raise _refusal(ONLY_UPLOADS)


def _refusal(sentence: str) -> gr.Error:
    return gr.Error(sentence, title="This picture was not accepted", print_exception=False)
