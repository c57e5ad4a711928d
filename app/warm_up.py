"""The first request, made by the page itself, so that no visitor waits for what happens once."""

from __future__ import annotations

import gradio as gr
from PIL import Image

from app import arriving
from app.compare.request import compare
from app.events import let_in
from app.store import ModelStore


def warm_up(store: ModelStore, demo: gr.Blocks | None = None) -> None:
    """Import what the models need, load the default pair, compile its scans, import the explainers.

    As soon as it is known where models run, as many requests are let in as suit that device. A pair
    that cannot be loaded is no error here: whoever asks for it is told why.
    """
    arriving.load(lambda _done, _of: None)
    if demo is not None:
        let_in(demo, store.at_once)
    grey = Image.new("RGB", (64, 64), "grey")
    for _ in compare(store, grey, store.default_pair, "causal"):
        pass
