"""The first request, made by the page itself, so that no visitor waits for what happens once."""

from __future__ import annotations

from PIL import Image

from app.compare.request import compare
from app.store import ModelStore


def warm_up(store: ModelStore) -> None:
    """Load the default pair, compile its scans and import the explainers.

    A pair that cannot be loaded is no error here: whoever asks for it is told why.
    """
    grey = Image.new("RGB", (64, 64), "grey")
    for _ in compare(store, grey, store.default_pair, "causal"):
        pass
