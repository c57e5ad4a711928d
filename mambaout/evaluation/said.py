"""Several answers to one picture, of several models or of one in several mixings, compared.

Arrays and facts, no modules: what is here outlives the models that made it, and needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from mambaout.catalogue.mixing import Mixing
from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.evaluation.divergence import js_divergence, kl_divergence

if TYPE_CHECKING:
    from mambaout.explain import Explanation, ScanTrace


@dataclass(frozen=True, eq=False)
class Said:
    """An answer: a probability for each class that a model knows."""

    vocabulary: Vocabulary
    probabilities: np.ndarray  # (classes,) float32, summing to 1

    @property
    def top(self) -> int:
        """The first of the most probable classes."""
        return int(self.probabilities.argmax())

    def best(self, count: int = 5) -> list[int]:
        """The most probable classes, best first; of equal ones the first first."""
        return [int(i) for i in np.argsort(-self.probabilities, kind="stable")[:count]]

    def keys(self, count: int = 5) -> list[str]:
        """What other models know the most probable classes by, best first."""
        return [self.vocabulary.keys[i] for i in self.best(count)]


@dataclass(frozen=True, eq=False)
class Answered:
    """One model on one picture, in one mixing: what it said, and why as far as that was asked.

    An empty reason beside a missing explanation means that nobody asked for it.
    """

    id: str  # among the answers to one picture, such as "left" or "right_causal"
    name: str  # for timm.create_model
    mixing: Mixing  # that it answered in
    said: Said
    paths: tuple[str, ...] = ()  # the only scan paths that ran; none named: all of the mixing
    heat: Explanation | None = None
    no_heat: str = ""
    trace: ScanTrace | None = None
    no_trace: str = ""


@dataclass(frozen=True)
class Difference:
    """What sets a second answer apart from a first one."""

    same_top: bool
    common: int  # classes in both top fives
    kl: float | None  # of the second from the first [nats]; None where the classes differ
    js: float | None  # [nats]


def difference(first: Said, second: Said) -> Difference:
    """Compare two answers by the keys of their classes."""
    kl = js = None
    one, other = first.vocabulary, second.vocabulary
    if one.same_classes(other):
        p = first.probabilities
        q = second.probabilities[[other.positions[key] for key in one.keys]]
        kl, js = kl_divergence(p, q), js_divergence(p, q)
    return Difference(
        same_top=one.keys[first.top] == other.keys[second.top],
        common=len({*first.keys()} & {*second.keys()}),
        kl=kl,
        js=js,
    )
