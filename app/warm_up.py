"""The first request, made by the page itself, so that no visitor waits for what happens once."""

from __future__ import annotations

from PIL import Image

from app import arriving
from app.compare.request import compare
from app.store import ModelStore


def warm_up(store: ModelStore) -> None:
    """Import what the models need, load the default pair, compile its scans, import the explainers.

    A pair that cannot be loaded is no error here: whoever asks for it is told why.
    """
    arriving.load(lambda _done, _of: None)
    grey = Image.new("RGB", (64, 64), "grey")
    for _ in compare(store, grey, store.default_pair, "causal"):
        pass
