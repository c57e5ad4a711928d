"""Models brought into memory while the visitor is told how far that is."""

from __future__ import annotations

from collections.abc import Iterator

from app import text
from app.background import watched
from app.store import LoadedModel, ModelStore


def loading(store: ModelStore, name: str, title: str) -> Iterator[tuple[LoadedModel | None, str]]:
    """Load a model, and say several times a second how far it is; the model comes last.

    A caller that is closed meanwhile leaves the loading to finish: what was downloaded is kept.
    """
    if store.holds(name):
        yield store.get(name), text.asking(title)
        return
    for model, status in watched(
        lambda progress: store.get(name, progress),
        lambda arrived: text.loading(title, arrived),
        finish=True,
    ):
        yield model, status if model is None else text.asking(title)
