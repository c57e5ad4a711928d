"""What a model can say: its classes, with names to read and keys to compare models by."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Vocabulary:
    """A model's classes, in the order of its outputs.

    Attributes:
        labels: names to show, all different.
        keys: what two models mean the same class by: WordNet numbers where known, else the names.
    """

    labels: tuple[str, ...]
    keys: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each key is among the outputs."""
        return {key: index for index, key in enumerate(self.keys)}

    def index_of_label(self, label: str) -> int | None:
        """The output that is shown as `label`, None if there is none."""
        return self.labels.index(label) if label in self.labels else None

    def same_classes(self, other: Vocabulary) -> bool:
        """Whether both tell the same classes apart, in whatever order."""
        return set(self.keys) == set(other.keys)


def short_names(labels: list[str]) -> list[str]:
    """The first of each label's synonyms ("tench, Tinca tinca"), unless two classes share it."""
    first = [label.split(",")[0].strip() for label in labels]
    often = Counter(first)
    return [
        short if often[short] == 1 else label for short, label in zip(first, labels, strict=True)
    ]
