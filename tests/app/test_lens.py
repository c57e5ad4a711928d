"""What the lens is told about two models: weights, ways through the tokens, and reasons."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from PIL import Image

from app.lens import payload, request, text
from app.lens.reader import Rows
from app.lens.request import Choice, Look, look
from app.store import DEFAULT_PAIR
from mambaout import explain
from mambaout.explain import token_reads

SCAN = Choice((None, None), measure="scan")


def looked(store, picture, mixing="bidirectional", choice=SCAN, only=None):
    """The panes, and each pane's weights as one matrix with NaN for rows that did not come."""
    panes, found, lines = [None, None], [[], []], []
    for index, new, line in look(store, picture, DEFAULT_PAIR, mixing, choice, only):
        lines.append(line)
        if isinstance(new, Look):
            panes[index] = new
        elif isinstance(new, Rows):
            found[index].append(new)
    matrices = []
    for pane, pieces in zip(panes, found, strict=True):
        size = pane.grid[0] * pane.grid[1]
        matrix = np.full((size, size), np.nan)
        for piece in pieces:
            assert np.isnan(matrix[piece.patches]).all()  # no row comes twice
            matrix[piece.patches] = piece.weights
        matrices.append(matrix)
    return panes, matrices, lines


def test_every_row_comes_once_and_is_what_the_library_says(store, picture):
    panes, (left, right), lines = looked(store, picture)
    assert [pane.grid for pane in panes] == [(8, 8), (16, 16)]
    model = store.get(DEFAULT_PAIR[1])
    whole = token_reads(
        model.view("bidirectional"), model.input_of(picture), panes[1].layer, "scan"
    )
    np.testing.assert_allclose(right, whole.patches(), rtol=1e-5, atol=1e-9)
    assert all(lines)
    # Kept: asked again, they come at once and are the same.
    _, again, fewer = looked(store, picture)
    np.testing.assert_array_equal(again[0], left)
    np.testing.assert_array_equal(again[1], right)
    assert len(fewer) < len(lines)


def test_causal_reads_nothing_later_and_bidirectional_does(store, picture):
    _, both, _ = looked(store, picture)
    _, causal, _ = looked(store, picture, "causal")
    for before, after in zip(both, causal, strict=True):
        assert np.triu(before, 1).max() > 0
        assert (np.triu(after, 1) == 0).all()
        assert (np.diag(after) > 0).all()


def test_ways_go_where_the_scan_goes(store, picture):
    (left, right), _, _ = looked(store, picture)
    forward, backward = right.walks
    assert (forward.path, backward.path) == ("forward", "backward")
    assert len(forward.order) == 257  # with the class token, which is no patch
    assert forward.order[forward.order >= 0].tolist() == list(range(256))
    assert (backward.order == forward.order[::-1]).all()
    assert {"delta", "retention", "state_norm"} <= forward.curves.keys()
    (by_row,) = left.walks
    assert by_row.path == ""
    assert by_row.order.tolist() == list(range(64))
    assert "gate" in by_row.curves


def test_a_side_without_a_scan_says_why_and_is_measured_by_gradient(store, picture):
    (left, right), _, _ = looked(store, picture)
    assert "MambaOut has no scan" in left.notes[0]
    assert text.BY_GRADIENT in left.notes
    assert left.unit != right.unit


def test_of_a_large_layer_only_the_place_is_measured(store, picture, monkeypatch):
    monkeypatch.setattr(request, "MOST_TOKENS", 100)
    (_, right), (_, matrix), _ = looked(store, picture)
    assert np.flatnonzero(~np.isnan(matrix).any(1)).tolist() == [8 * 16 + 8]
    assert any("point at it" in note for note in right.notes)
    # The picture is wider than high, so its left edge is not seen: the nearest patch is taken.
    _, (_, matrix), _ = looked(store, picture, only=(0.0, 0.0))
    assert np.flatnonzero(~np.isnan(matrix).any(1)).tolist() == [0]


def test_a_row_that_was_measured_is_never_measured_again(store, monkeypatch):
    measured = []

    def counted(*args, **options):
        measured.append(options["rows"])
        return token_reads(*args, **options)

    monkeypatch.setattr(explain, "token_reads", counted)
    monkeypatch.setattr(request, "MOST_TOKENS", 100)
    rng = np.random.default_rng(5)
    new = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    # Of the left model, whose layer is small, all rows are kept, and each is measured once.
    _, (left, _), _ = looked(store, new)
    whole = [row for rows in measured for row in rows]
    assert len(whole) == 1 + 64 + 2  # of each layer the first one more, for its shape; and a row
    for place in ((0.1, 0.1), (0.9, 0.1), (0.1, 0.1)):
        measured.clear()
        _, (again, _), _ = looked(store, new, only=place)
        (row,) = np.flatnonzero(~np.isnan(again).any(1))
        np.testing.assert_array_equal(again[row], left[row])
        if place == (0.9, 0.1):
            assert measured == [[1 * 16 + 14]]
    assert measured == []


def test_zero_and_nothing_else_is_sent_as_zero():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 50)).astype(np.float32)
    weights[:, ::2] = 0
    weights[0, 1] = 1e-30
    weights[2] = 0
    sent = payload.rows(1, Rows(np.array([4, 7, 9]), weights))
    codes = np.frombuffer(base64.b64decode(sent["codes"]), "<i2").reshape(3, 50)
    assert ((codes == 0) == (weights == 0)).all()
    decoded = codes / (2**15 - 1) * np.array(sent["high"])[:, None]
    np.testing.assert_allclose(decoded, weights, atol=1e-4 * np.abs(weights).max())
    assert sent["patches"] == [4, 7, 9]


@pytest.mark.parametrize(
    ("name", "title"),
    [("stages.1.blocks.2", "Stage 2, block 3"), ("layers.7.mixer", "Layer 8 of 12")],
)
def test_a_layer_has_a_title(name, title):
    assert text.layer_title(name, 7, 12) == title
