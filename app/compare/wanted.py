"""What a permanent link asks for of the heat maps, beside the method: classes and layers."""

from __future__ import annotations

from dataclasses import dataclass, replace

from app.compare.result import Comparison
from app.language import tr
from app.link_readers import like, whole
from mambaout.catalogue.vocabulary import Vocabulary

# A WordNet number or a name; whether it is one that a model knows shows when models answer.
layer_number = whole(1, 200)
class_key = like(r"\w[\w ,.'’()/-]{0,99}")


@dataclass(frozen=True)
class Wanted:
    """The class to explain, the one to explain it against, and layers, left and right.

    Attributes:
        key: of the class; "" for each model's own first answer.
        rival_key: of the other class; "" for the likeliest one.
        layers: counted from 1; None for the model's default.
    """

    key: str = ""
    rival_key: str = ""
    layers: tuple[int | None, int | None] = (None, None)

    def of(self, comparison: Comparison) -> Comparison:
        """The comparison with what is wanted of it, as far as its models have that."""
        found = comparison
        for vocabulary in _vocabularies(comparison):
            if self.key in vocabulary.positions and found.chosen_key is None:
                label = vocabulary.labels[vocabulary.positions[self.key]]
                found = replace(found, chosen_key=self.key, chosen_label=label)
            if self.rival_key in vocabulary.positions:
                found = replace(found, rival_key=self.rival_key)
        for index, (side, number) in enumerate(zip(found.sides, self.layers, strict=True)):
            layers = side.facts.layers if side.facts else ()
            if number is not None and number <= len(layers):
                found = found.with_side(index, replace(side, layer=layers[number - 1]))
        return found

    def missed(self, comparison: Comparison) -> list[str]:
        """What the models have not, one sentence each."""
        known = _vocabularies(comparison)
        sentences: list[str] = []
        if known and self.key and not any(self.key in one.positions for one in known):
            sentences.append(tr("Neither model knows the class that the link asks to explain."))
        if known and self.rival_key and not any(self.rival_key in one.positions for one in known):
            sentences.append(tr("Neither model knows the class that the link sets against it."))
        for side, number in zip(comparison.sides, self.layers, strict=True):
            if side.facts and number is not None and number > len(side.facts.layers):
                words = "{model} has no layer {layer}, which the link asks for."
                sentences.append(tr(words, model=side.title, layer=number))
        return sentences


def _vocabularies(comparison: Comparison) -> list[Vocabulary]:
    return [side.facts.vocabulary for side in comparison.sides if side.facts]


NOTHING = Wanted()
