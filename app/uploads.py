"""What a visitor may hand over: files that were uploaded, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

import gradio as gr
from gradio.blocks import Block
from gradio.utils import get_upload_folder

from app.language import noted, tr

ONLY_UPLOADS = noted(
    "Please choose a picture from this device: addresses and embedded data are refused."
)
NOT_ACCEPTED = noted("This picture was not accepted")

ComponentT = TypeVar("ComponentT", bound=type[Block])
# Whatever host it names: nobody is asked there.
_OWN_FILE = re.compile(r"https?://[^?#]*?/gradio_api/file=([^?#]+)", re.IGNORECASE)


def uploads_only(component: ComponentT) -> ComponentT:
    """Class decorator for components that take files: no URL is fetched for a caller.

    gradio calls both methods before `preprocess`. A decorator, because gradio takes the first base
    class of a component for what the browser shows.
    """
    asynchronous = component.async_move_resource_to_block_cache
    synchronous = component.move_resource_to_block_cache

    async def asynchronously(self: Block, path: str | Path | None) -> str | None:
        return await asynchronous(self, _without_asking_anyone(path))

    def synchronously(self: Block, path: str | Path | None) -> str | None:
        return synchronous(self, _without_asking_anyone(path))

    component.async_move_resource_to_block_cache = asynchronously  # type: ignore[method-assign, assignment]
    component.move_resource_to_block_cache = synchronously  # type: ignore[method-assign, assignment]
    return component


def uploaded(path: str | None) -> Path:
    """The path of an upload.

    Raises:
        gr.Error: with its links followed, it does not lie where gradio stores uploads.
    """
    try:
        if path and Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
            return Path(path)
    except (OSError, ValueError):  # a name that no file can have
        pass
    raise refusal(tr(ONLY_UPLOADS))


def refusal(sentence: str) -> gr.Error:
    """What the visitor reads where a file is not taken."""
    return gr.Error(sentence, title=tr(NOT_ACCEPTED), print_exception=False)


def _without_asking_anyone(path: str | Path | None) -> str | Path | None:
    """The path itself, or that of the upload which an address of this page's own stands for.

    Tools of language models upload a file, and hand on the address that it can be read at.
    """
    if not str(path).lower().startswith(("http://", "https://")):
        return path
    own = _OWN_FILE.fullmatch(str(path))
    return uploaded(unquote(own[1]) if own else None)
