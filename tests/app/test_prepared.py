"""A picture is made ready once for models that take it in the same way."""

from __future__ import annotations

import torch

from app.prepared import Prepared
from app.store import DEFAULT_PAIR


def test_models_share_what_they_take_in_the_same_way(store, picture):
    left, right = (store.get(name) for name in DEFAULT_PAIR)
    prepared = Prepared(picture)
    shared = left.framing == right.framing
    assert (prepared.seen_by(left) is prepared.seen_by(right)) == shared
    same = left.transform is right.transform
    assert (prepared.input_of(left) is prepared.input_of(right)) == same
    assert prepared.input_of(left) is prepared.input_of(left)
    for model in (left, right):
        assert torch.equal(prepared.input_of(model), model.input_of(picture))
        assert prepared.seen_by(model).tobytes() == model.framing.seen(picture).tobytes()


def test_the_bundled_pair_shares_all(picture):
    from app.store import ModelStore

    bundled = ModelStore("cpu", offline=True)
    left, right = (bundled.get(name) for name in bundled.default_pair)
    prepared = Prepared(picture)
    assert prepared.input_of(left) is prepared.input_of(right)
    assert prepared.seen_by(left) is prepared.seen_by(right)
