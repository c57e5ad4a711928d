"""Which of its scan paths a model runs: all that it was trained with, or a choice of them."""

from __future__ import annotations

from collections.abc import Collection
from functools import singledispatch
from typing import TypeVar

from torch import nn

from mambaout.errors import Sentence
from mambaout.models.sharing import share_weights

ModelT = TypeVar("ModelT", bound=nn.Module)


def with_paths(model: ModelT, paths: Collection[str]) -> ModelT:
    """A view of ``model`` in which only some scan paths run: new modules, the same weights.

    Vim: "forward", "backward", or both; the mixer takes the mean over the paths that are left, so
    that a path alone is not halved. VMamba: any of "row", "column", "row reversed" and "column
    reversed"; their sum is normed as the sum of all four is, so that no other scale is needed. The
    short convolutions before the scans stay as the model has them: VMamba's looks ahead unless
    `with_mixing` made it causal. A causal form has its forward path only. `with_mixing` on the view
    gives back all paths that its mixing has.

    ``model`` itself does not change, and both may serve requests at the same time. The weights were
    trained with all paths: the view shows what they do without some, not what a model trained
    without them would do.

    Args:
        model: a model of a family whose paths can be told apart; `scan_paths` names them.
        paths: at least one of them, in any order.

    Raises:
        TypeError: the model has no such choice; the text says why.
        ValueError: there is no such path, or none was chosen.
    """
    reason = why_paths_are_fixed(model)
    if reason is not None:
        raise TypeError(reason)
    known = scan_paths(model)
    if not paths or not set(paths) <= set(known):
        raise ValueError(f"paths must be one or more of {known}, got {tuple(paths)}")
    view = share_weights(model)
    for module in view.modules():
        set_paths(module, tuple(path for path in known if path in paths))
    return view


def scan_paths(model: nn.Module) -> tuple[str, ...]:
    """What `with_paths` may choose from, in the family's order; nothing if there is no choice."""
    return next((known for known in map(choosable_paths, model.modules()) if known), ())


@singledispatch
def choosable_paths(_mixer: nn.Module) -> tuple[str, ...]:
    """The paths of one token mixer that may run alone; families with such mixers register here."""
    return ()


@singledispatch
def set_paths(_mixer: nn.Module, _paths: tuple[str, ...]) -> None:
    """Let only ``_paths`` run in one token mixer, in place; registered beside `choosable_paths`."""


@singledispatch
def why_paths_are_fixed(model: nn.Module) -> str | None:
    """Why there is no choice of paths, in words for a user of ``model``; None if there is one.

    Families that scan, but whose paths cannot be left out, register their reason here.
    """
    if scan_paths(model):
        return None
    return Sentence("{model} has no scan paths to choose from", model=type(model).__name__)
