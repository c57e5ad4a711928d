"""Which of a model's outputs are right answers to a picture of a class of the folder.

A class is found among a model's classes by its WordNet number ("n02123045", also at the beginning
of a longer name), else by any of its names, whether written "tabby cat", "Tabby_Cat" or
"tabby-cat".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.folder import LabelledFolder
from mambaout.evaluation.picture_files import Picture

_WORDNET_NUMBER = re.compile(r"n\d{8}(?!\d)")
_LISTED = 10


@dataclass(frozen=True)
class ModelClasses:
    """What a model's outputs mean.

    Attributes:
        model: its name.
        vocabulary: names to show, and keys that mean the same class in every model.
        descriptions: per output all its names, with commas between them.
    """

    model: str
    vocabulary: Vocabulary
    descriptions: tuple[str, ...]

    @cached_property
    def spellings(self) -> dict[str, tuple[int, ...]]:
        """Every name -> the outputs that have it."""
        found: dict[str, set[int]] = {}
        for output, (label, text) in enumerate(
            zip(self.vocabulary.labels, self.descriptions, strict=True)
        ):
            synonyms = text.partition(":")[0]  # without the definition that tells namesakes apart
            for name in (label, *synonyms.split(",")):
                found.setdefault(_spelling(name), set()).add(output)
        return {name: tuple(sorted(outputs)) for name, outputs in found.items()}

    @cached_property
    def is_numbered(self) -> bool:
        """Whether WordNet numbers of its classes are known."""
        return any(_WORDNET_NUMBER.fullmatch(key) for key in self.vocabulary.keys)


@dataclass(frozen=True)
class Matching:
    """The classes of a folder among those of a model.

    Attributes:
        classes: the model's.
        outputs: class of the folder -> outputs that are right answers; the model's classes only.
        left_out: classes of the folder that the model does not have.
    """

    classes: ModelClasses
    outputs: Mapping[str, frozenset[int]]
    left_out: tuple[str, ...]

    def targets(self, picture: Picture) -> dict[str, frozenset[int]]:
        """What the picture shows that the model knows; it is scored if that is anything."""
        return {name: self.outputs[name] for name in picture.classes if name in self.outputs}


def match(folder: LabelledFolder, models: Iterable[ModelClasses]) -> dict[str, Matching]:
    """How the classes of ``folder`` are found among those of each model.

    A class that a model does not have is left out where it is known to be one: it has a WordNet
    number, or a name of ImageNet-1k or of another model, or there are more classes in the folder
    than the model has. Any other is taken for a misspelling.

    Raises:
        EvaluationError: a class is like none, or a model has none of the classes.
    """
    models = list(models)
    known = {_spelling(name) for text in _imagenet_names() for name in text.split(",")}
    known.update(*(model.spellings for model in models))
    return {model.model: _match(folder, model, known) for model in models}


def _match(folder: LabelledFolder, model: ModelClasses, known: set[str]) -> Matching:
    outputs: dict[str, frozenset[int]] = {}
    left_out: list[str] = []
    unknown: list[str] = []
    for name in folder.classes:
        numbers = _wordnet_numbers(folder, name)
        spellings = [_spelling(text) for text in (name, *folder.names.get(name, "").split(","))]
        if numbers is not None and model.is_numbered:
            positions = model.vocabulary.positions
            right = frozenset(positions[number] for number in numbers if number in positions)
        else:
            right = _by_name(model, spellings)
        if len(right) > 1 and numbers is None:
            raise EvaluationError(_ambiguous(name, right, model))
        if right:
            outputs[name] = right
        else:
            left_out.append(name)
            if numbers is None and known.isdisjoint(spellings):
                unknown.append(name)
    if unknown and len(model.vocabulary) >= len(folder.classes):
        raise EvaluationError(_unknown(unknown, model))
    if not outputs:
        raise EvaluationError(
            f"none of the {len(folder.classes)} classes of {folder.name} (such as "
            f"{', '.join(folder.classes[:3])}) is one of {model.model}'s {len(model.vocabulary)} "
            f"(such as {', '.join(model.vocabulary.labels[:3])})"
        )
    return Matching(model, outputs, tuple(left_out))


def _wordnet_numbers(folder: LabelledFolder, name: str) -> frozenset[str] | None:
    """What the class means, where that is known without its name."""
    if name in folder.wordnet_numbers:
        return folder.wordnet_numbers[name]
    number = _WORDNET_NUMBER.match(name)
    return frozenset({number.group()}) if number else None


def _by_name(model: ModelClasses, spellings: list[str]) -> frozenset[int]:
    found = (model.spellings.get(spelling) for spelling in spellings)
    return frozenset(next((outputs for outputs in found if outputs), ()))


def _ambiguous(name: str, outputs: frozenset[int], model: ModelClasses) -> str:
    meant = " or ".join(
        f"{model.vocabulary.keys[output]} ({model.vocabulary.labels[output]})"
        for output in sorted(outputs)
    )
    return f"the class {name!r} may be {meant} of {model.model}: name its folder by the number"


def _unknown(names: list[str], model: ModelClasses) -> str:
    listed = "; ".join(f"{name!r} ({_nearest(name, model)})" for name in names[:_LISTED])
    more = f"; and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (
        f"{len(names)} of the folder's classes are none of {model.model}'s: {listed}{more}. Name "
        f"folders by a class or its WordNet number (such as n02123045), or take them out of --data"
    )


def _nearest(name: str, model: ModelClasses) -> str:
    spelling = _spelling(name)
    words = set(spelling.split())
    longer = [known for known in model.spellings if words <= set(known.split()) and words]
    near = [*longer[:3], *difflib.get_close_matches(spelling, model.spellings, n=3)]
    labels = [model.vocabulary.labels[model.spellings[known][0]] for known in near]
    distinct = list(dict.fromkeys(labels))[:3]
    return f"nearest: {', '.join(distinct)}" if distinct else "nothing is near"


def _spelling(name: str) -> str:
    """What is left of a name when writing does not matter."""
    return " ".join(re.split(r"[\s_\-]+", name.strip().casefold()))


def _imagenet_names() -> list[str]:
    from timm.data import ImageNetInfo

    return list(ImageNetInfo("imagenet-1k").label_descriptions())
