"""What a registered model can say, found out on this machine."""

from __future__ import annotations

from timm.data import ImageNetInfo, infer_imagenet_subset

from mambaout.catalogue.bundled import bundled_card
from mambaout.catalogue.vocabulary import Vocabulary, short_names
from mambaout.models.labels import class_labels
from mambaout.models.weights import declared_weights


def vocabulary_of(name: str) -> Vocabulary:
    """What the registered model `name` can say. Asks no network."""
    labels = class_labels(name)
    return Vocabulary(tuple(short_names(labels)), tuple(_wordnet_numbers(name) or labels))


def _wordnet_numbers(name: str) -> list[str]:
    """The classes' WordNet numbers ("n02129165"); empty where they are not known."""
    declared = declared_weights(name)
    card = bundled_card(declared.file) if declared.file else None
    if card is not None:
        return [str(entry["wnid"]) for entry in card["classes"]]
    subset = infer_imagenet_subset({"num_classes": declared.num_classes})
    return list(ImageNetInfo(subset).label_names()) if subset else []
