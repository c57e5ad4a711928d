"""What a model's classes are called, found out on this machine."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from timm.data import ImageNetInfo, infer_imagenet_subset
from torch import nn

from mambaout.catalogue.bundled import bundled_card, bundled_directory
from mambaout.models.weights import declared_weights


def class_labels(model: nn.Module | str) -> list[str]:
    """The names of a model's classes in the order of its outputs, all different.

    Args:
        model: a model built by timm, or a registered name.

    Returns:
        One name per class: from the weights' declaration or their card, else those of the ImageNet
        list with this number of classes ("tench, Tinca tinca"), else "class 0", "class 1", ...
    """
    if isinstance(model, str):
        declaration = declared_weights(model).to_dict()
        count = int(declaration["num_classes"])
    else:
        declaration = dict(getattr(model, "pretrained_cfg", {}))
        count = int(getattr(model, "num_classes", 0))
    labels = _stated(declaration) or _imagenet(count)
    return labels if len(labels) == count else [f"class {index}" for index in range(count)]


def _stated(declaration: dict[str, Any]) -> list[str]:
    names = declaration.get("label_names")
    if names:
        descriptions = declaration.get("label_descriptions") or {}
        return [str(descriptions.get(name, name)) for name in names]
    file = declaration.get("file")
    card = bundled_card(Path(file).name) if file and _is_bundled(file) else None
    return [str(entry["label"]) for entry in card["classes"]] if card else []


def _is_bundled(file: str) -> bool:
    return Path(file).name == file or Path(file).parent == bundled_directory()


def _imagenet(count: int) -> list[str]:
    subset = infer_imagenet_subset({"num_classes": count})
    return list(_imagenet_names(subset)) if subset else []


@cache
def _imagenet_names(subset: str) -> tuple[str, ...]:
    info = ImageNetInfo(subset)
    names = info.label_descriptions()
    often = Counter(names)
    # Two of the thousand classes are called "crane": these are told apart by their definitions.
    return tuple(
        info.index_to_description(index, detailed=True) if often[name] > 1 else name
        for index, name in enumerate(names)
    )
