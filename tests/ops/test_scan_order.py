"""Walks over a grid: each visits every token once, and leads back where it should."""

from __future__ import annotations

import pytest
import torch

from mambaout.ops import scan_order

DIRECTIONS = ["h", "v", "w1", "w2", "w3", "w7"]


@pytest.mark.parametrize("flip", ["", "_flip"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("grid", [(4, 6), (5, 7), (1, 3)])
def test_every_token_is_visited_once(direction, flip, grid):
    height, width = grid
    order = scan_order(direction + flip, height, width).order
    visited = order[order < height * width]
    assert torch.equal(visited.sort().values, torch.arange(height * width))
    assert (order <= height * width).all()
    if direction in {"h", "v"}:
        assert len(order) == height * width


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_flip_is_the_same_walk_from_its_end(direction):
    there, back = scan_order(direction, 4, 5), scan_order(f"{direction}_flip", 4, 5)
    assert torch.equal(there.order.flip(0), back.order)
    x = torch.randn(2, 20, 3)
    assert torch.equal(back.along(x).flip(1), there.along(x))
    y = torch.randn(2, len(there.order), 3)
    assert torch.equal(back.back(y.flip(1)), there.back(y))


def test_walks_by_rows_and_by_columns():
    grid = torch.arange(6).view(2, 3)
    assert scan_order("h", 2, 3).order.tolist() == grid.flatten().tolist()
    assert scan_order("v", 2, 3).order.tolist() == grid.T.flatten().tolist()


def test_windows_come_by_rows_and_so_do_their_tokens():
    order = scan_order("w2", 4, 4).order
    assert order.tolist() == [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15]


def test_windows_that_do_not_fit_are_filled_below_and_to_the_right():
    grid = torch.full((4, 6), 15)  # 15 tokens: position 15 is none of them
    grid[:3, :5] = torch.arange(15).view(3, 5)
    windows = [grid[i : i + 2, j : j + 2].flatten() for i in (0, 2) for j in (0, 2, 4)]
    walk = scan_order("w2", 3, 5)
    assert torch.equal(walk.order, torch.cat(windows))
    x = torch.randn(1, 15, 2)
    scanned = walk.along(x)
    assert scanned[:, walk.order == 15].eq(0).all()
    assert scanned[:, walk.order < 15].ne(0).all()


@pytest.mark.parametrize("flip", ["", "_flip"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_there_and_back_is_where_one_was(direction, flip):
    x = torch.randn(2, 25, 3)
    walk = scan_order(direction + flip, 5, 5)
    if direction + flip not in {"h", "w1"}:
        assert not torch.equal(walk.along(x)[:, :25], x)
    assert torch.equal(walk.back(walk.along(x)), x)


def test_way_back_from_columns_is_the_authors():
    """They transpose an array of (height, width), though what they have is (width, height)."""
    height, width = 2, 3
    steps = torch.arange(6.0).view(1, 6, 1)
    expected = steps.view(height, width).T.flatten()
    assert torch.equal(scan_order("v", height, width).back(steps).flatten(), expected)
    undone = steps.view(width, height).T.flatten()
    assert not torch.equal(expected, undone)


@pytest.mark.parametrize("direction", ["", "d", "w", "w0", "h_flip_flip", "flip", "w-2"])
def test_an_unknown_direction_is_refused(direction):
    with pytest.raises(ValueError, match='a direction is "h", "v" or "w" and a number'):
        scan_order(direction, 4, 4)
