"""The models on offer: all weights of our families and some of timm's, with their facts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import timm
import torch
from timm.data import infer_imagenet_subset
from timm.models import model_entrypoint

from mambaout.models.bundled import bundled_card, bundled_path, trained_mixing
from mambaout.models.mixing import with_mixing
from mambaout.models.published import PUBLISHED
from mambaout.models.sizes import counted_size
from mambaout.models.weights import WeightsStatus, declared_weights, weights_status


@dataclass(frozen=True)
class _Family:
    name: str
    mixer: str
    has_scan: bool


_MAMBAOUT = _Family("MambaOut", "gated CNN: 7 x 7 depthwise convolution", has_scan=False)
_VIT = _Family("ViT", "self-attention", has_scan=False)

# By the module that registers the models; in the order of offering, like mixers side by side.
_FAMILIES = {
    "timm.models.mambaout": _MAMBAOUT,
    "mambaout.models.gated_cnn": _MAMBAOUT,
    "mambaout.models.vim": _Family("Vim", "selective scan, forward and backward", has_scan=True),
    "mambaout.models.plain_mamba": _Family(
        "PlainMamba", "selective scan along four snaking paths", has_scan=True
    ),
    "mambaout.models.vmamba": _Family(
        "VMamba", "selective scan along rows and columns, both ways", has_scan=True
    ),
    "mambaout.models.local_vim": _Family(
        "LocalVim", "selective scan along rows, columns or windows, by layer", has_scan=True
    ),
    "mambaout.models.local_vmamba": _Family(
        "LocalVMamba", "selective scan along rows, columns or windows, by layer", has_scan=True
    ),
    "mambaout.models.efficient_vmamba": _Family(
        "EfficientVMamba", "selective scan of quarter grids, then convolutions", has_scan=True
    ),
    "mambaout.models.mamba_vision": _Family(
        "MambaVision", "convolutions, then selective scan and self-attention", has_scan=True
    ),
    "timm.models.efficientvim": _Family(
        "EfficientViM", "states that are sums over all tokens", has_scan=False
    ),
    "timm.models.deit": _VIT,
    "mambaout.models.attention": _VIT,
}


@dataclass(frozen=True)
class ModelCard:
    """What a person wants to know before choosing a model.

    `no_causal_form`, and `params` where they were not counted ahead of time, are read off the
    network, which is built for it without memory when first asked for (a tenth of a second).
    """

    name: str  # for timm.create_model
    title: str
    family: str
    mixer: str  # what mixes its tokens
    has_scan: bool
    top1: float | None  # percent right, as published (see top1_source); None: nothing published
    top1_source: str
    licence: str  # of the weights; "" if not stated
    classes: int
    data: str  # what the classes are, such as "ImageNet-1k"
    input_size: tuple[int, int, int]  # channels, height, width
    weights: WeightsStatus

    @property
    def params(self) -> int:
        """Trained numbers in the network."""
        size = counted_size(self.name)
        return _read_off(self.name)[0] if size is None else size.params

    @property
    def macs(self) -> int | None:
        """Multiply-adds for one picture of `input_size`; None if they were not counted.

        Counted as `mambaout.evaluation.cost` does.
        """
        size = counted_size(self.name)
        return None if size is None else size.macs

    @property
    def no_causal_form(self) -> str | None:
        """Why its mixing cannot be switched; None if it can."""
        return _read_off(self.name)[1]


def offered() -> list[ModelCard]:
    """Every model with weights, bundled ones first, family by family, from small to large.

    Asks no network and builds no model. A declared miniature that was never bundled is left out.
    """
    cards = [_card(name) for name in timm.list_models(pretrained=True) if _has_weights(name)]
    return sorted(cards, key=_place)


def offered_card(name: str) -> ModelCard | None:
    """The entry of `offered` with this name, tag included; None if it has none."""
    known = "." in name and timm.models.is_model_pretrained(name)
    return _card(name) if known and _has_weights(name) else None


def _has_weights(name: str) -> bool:
    module = _module(name)
    if module not in _FAMILIES:
        return False
    if not module.startswith("mambaout."):
        return name in PUBLISHED  # of timm's DeiTs, those that its paper and others compare with
    file = declared_weights(name).file
    return file is None or bundled_path(file) is not None


def _place(card: ModelCard) -> tuple[bool, int, int, str]:
    families = [family.name for family in _FAMILIES.values()]
    order = [*PUBLISHED]
    place = order.index(card.name) if card.name in PUBLISHED else len(order)
    return card.weights.state != "bundled", families.index(card.family), place, card.name


def _module(name: str) -> str:
    return model_entrypoint(name.partition(".")[0]).__module__


def _card(name: str) -> ModelCard:
    family = _FAMILIES[_module(name)]
    declared = declared_weights(name)
    title, top1, top1_source = _presented(name, family.name, declared.file)
    return ModelCard(
        name=name,
        title=title,
        family=family.name,
        mixer=family.mixer,
        has_scan=family.has_scan,
        top1=top1,
        top1_source=top1_source,
        licence=declared.license or "",
        classes=declared.num_classes,
        data=_data(name, declared.num_classes),
        input_size=declared.input_size,
        weights=weights_status(name),
    )


def _presented(name: str, family: str, file: str | None) -> tuple[str, float | None, str]:
    """Title, top-1 in percent and where that number is from."""
    published = PUBLISHED.get(name)
    if published is not None:
        source = f"{published.source}, {published.pixels} pixels" if published.top1 else ""
        return published.title, published.top1, source
    if file is None:
        return name, None, ""
    size = name.partition(".")[0].partition("_")[2]
    title = f"{family}-{size.title()}"
    title += ", trained causally" if trained_mixing(name) == "causal" else ""
    card = bundled_card(file)
    if card is None:
        return title, None, ""
    measured = f"measured on {card['val_count']} validation pictures (see its card)"
    return title, 100 * float(card["val_top1"]), measured


def _data(name: str, classes: int) -> str:
    known = {"imagenet-1k": "ImageNet-1k", "imagenet-12k": "ImageNet-12k"}
    subset = infer_imagenet_subset({"num_classes": classes})
    if subset in known:
        return known[subset]
    dataset = "Tiny-ImageNet" if ".tiny_imagenet" in name else "an unnamed set"
    return f"{classes} classes of {dataset}"


@cache
def _read_off(name: str) -> tuple[int, str | None]:
    """Parameters, and why there is no causal form, of the network built without memory."""
    with torch.device("meta"):
        model = timm.create_model(name, pretrained=False)
    params = sum(parameter.numel() for parameter in model.parameters())
    try:
        with_mixing(model, "causal")
    except TypeError as reason:
        return params, str(reason)
    return params, None
