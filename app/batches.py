"""Pictures of requests that wait, in one forward pass: a GPU takes hardly longer for a few."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

Forward = Callable[["torch.Tensor"], np.ndarray]  # (n, c, H, W) → (n, classes)


@dataclass(eq=False)
class _Entry:
    """One picture that waits for its answer."""

    image: torch.Tensor
    woken: threading.Event = field(default_factory=threading.Event)
    leads: list[_Entry] | None = None  # the pass that this one's thread has to make
    row: np.ndarray | None = None  # its answer; none where its pass failed


class Batches:
    """Makes one forward pass of the pictures that wait for the same model.

    A picture that comes while no pass of its key is running is passed at once and alone: nobody
    waits for company. Those that come during a pass wait for its end, and are then passed together,
    in the order they came. The thread of the first of them makes the pass; there are no others.

    Each caller gets the row of its own picture. Where a pass of several fails, each of them makes
    one of its own, so that a caller is raised its own error and no other's.

    Args:
        most: pictures in one pass.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._waiting: dict[Hashable, list[_Entry]] = {}  # behind the pass that is running
        self._guard = threading.Lock()

    def answer(self, key: Hashable, forward: Forward, image: torch.Tensor) -> np.ndarray:
        """The row of `forward` for one picture, (1, c, H, W) → (classes,).

        Args:
            key: names everything that decides the answer but the picture: pictures with the same
                key have the same size, and go through the same model.
            forward: makes a pass.
            image: the picture.
        """
        entry = _Entry(image)
        with self._guard:
            if key in self._waiting:
                self._waiting[key].append(entry)
            else:
                self._waiting[key] = []
                entry.leads = [entry]
        if entry.leads is None:
            entry.woken.wait()
        if entry.leads is not None:
            try:
                _pass(forward, entry.leads)
            finally:
                self._next(key)
                for other in entry.leads:
                    other.woken.set()
        return forward(image)[0] if entry.row is None else entry.row

    def _next(self, key: Hashable) -> None:
        with self._guard:
            waiting = self._waiting[key]
            if not waiting:
                del self._waiting[key]
                return
            first, self._waiting[key] = waiting[: self.most], waiting[self.most :]
            first[0].leads = first
            first[0].woken.set()


def _pass(forward: Forward, entries: list[_Entry]) -> None:
    import torch

    try:
        rows = forward(torch.cat([entry.image for entry in entries]))
    except Exception:
        if len(entries) == 1:
            raise
        return  # whose fault it was shows when each makes its own
    for entry, row in zip(entries, rows, strict=True):
        entry.row = row
