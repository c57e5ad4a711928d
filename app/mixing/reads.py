"""What one token of each model reads in both mixings, and what sets the two apart; no page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image

from app import text as page_text
from app.language import told, tr
from app.lens.reader import Reader, Rows
from app.lens.request import Look, Walk
from app.loading import loading
from app.mixing import text
from app.mixing.causal_form import causal_form
from app.results import picture_digest
from app.store import LoadedModel, ModelStore
from mambaout.errors import MambaOutError, said_by


@dataclass(frozen=True, eq=False)
class Panes:
    """What the lens shows of one model: bidirectional, causal, and causal less bidirectional."""

    looks: tuple[Look, ...]  # fewer than three where something is missing, and one that says why
    rows: tuple[Rows, ...] = ()  # of as many of them, from the first


Step = tuple[Mapping[str, Panes], str]  # by side, what is known by now; what is being done


def read_twice(
    store: ModelStore,
    picture: Image.Image,
    asked: Mapping[str, str],
    layers: Mapping[str, str | None],
    place: tuple[float, float],
) -> Iterator[Step]:
    """Measure what the token at one place reads by gradient, in every model and both mixings.

    Args:
        store: the models.
        picture: the visitor's.
        asked: names of models, by side.
        layers: by side; one that the model lacks means its default.
        place: of the token, in shares of the picture's sides.
    """
    digest = picture_digest(picture)
    found: dict[str, Panes] = {}
    for side, name in asked.items():
        title = store.card(name).title
        try:
            for model, status in loading(store, name, title):
                yield found, status
                if model is not None:
                    yield found, text.reading(title)
                    first = sum(len(panes.looks) for panes in found.values())
                    found[side] = _panes(
                        store, model, picture, digest, side, layers[side], place, first
                    )
        except MambaOutError as error:
            reason = page_text.sentence(said_by(error))
            found[side] = Panes((Look(title, error=reason, line=side),))
    yield found, ""


def _panes(
    store: ModelStore,
    model: LoadedModel,
    picture: Image.Image,
    digest: str,
    side: str,
    layer: str | None,
    place: tuple[float, float],
    first: int,
) -> Panes:
    """One model's panes; `first` is the index of the first of them."""
    seen, title = model.framing.seen(picture), model.card.title

    def look(reader: Reader, name: str, *more: str) -> Look:
        notes = [*more, told(reader.first.caveat)]
        if reader.first.class_token_index is not None:
            notes.insert(0, tr(text.CLASS_TOKEN))
        return Look(
            title=text.pane_title(title, name),
            digest=digest,
            seen=seen,
            box=reader.box,
            layers=reader.layers,
            layer=reader.layer,
            grid=reader.grid,
            walks=(Walk("", np.arange(reader.patches), {}, {}),),
            unit=told(reader.first.unit),
            notes=tuple(notes),
            pointed=True,
            line=side,
            scale=first,
        )

    both = Reader(store, model, picture, digest, "bidirectional", layer)
    patch = both.patch(place)
    before = both.row(patch)
    whole = look(both, text.short_title("bidirectional"))
    try:
        causal = Reader(store, model, picture, digest, "causal", both.layer)
    except TypeError as reason:
        name = text.pane_title(title, text.short_title("causal"))
        missing = Look(name, error=text.no_causal_form(said_by(reason)), line=side)
        return Panes((whole, missing), (before,))
    after = causal.row(patch)
    cut = look(causal, text.short_title("causal"), *causal_form(model.card))
    change = Look(
        title=text.pane_title(title, text.causal_less_bidirectional()),
        digest=digest,
        seen=seen,
        box=both.box,
        layers=both.layers,
        layer=both.layer,
        grid=both.grid,
        walks=whole.walks,
        unit=tr(text.CHANGE_UNIT),
        signed=True,
        notes=(tr(text.INPUTS_DIFFER),) if both.layer != both.layers[0] else (),
        pointed=True,
        line=side,
        of=(first + 1, first),
    )
    changed = Rows(before.patches, after.weights - before.weights)
    return Panes((whole, cut, change), (before, after, changed))
