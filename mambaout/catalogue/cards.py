"""The models on offer: all weights of our families and some of timm's, with their facts."""

from __future__ import annotations

from dataclasses import dataclass

from mambaout.catalogue.bundled import bundled_card, bundled_path, trained_mixing
from mambaout.catalogue.facts import Declared, declared_models
from mambaout.catalogue.published import PUBLISHED
from mambaout.catalogue.status import WeightsStatus, status_of
from mambaout.errors import Sentence


@dataclass(frozen=True)
class _Family:
    name: str
    mixer: str
    has_scan: bool


_MAMBAOUT = _Family("MambaOut", "gated CNN: 7 x 7 depthwise convolution", has_scan=False)
_VIT = _Family("ViT", "self-attention", has_scan=False)

# By the module that registers the models; in the order of offering, like mixers side by side.
FAMILIES = {
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
    """What a person wants to know before choosing a model."""

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
    params: int  # trained numbers in the network
    macs: int | None  # multiply-adds for one picture of `input_size`; None if not counted
    no_causal_form: str | None  # why its mixing cannot be switched; None if it can


def offered() -> list[ModelCard]:
    """Every model with weights, bundled ones first, family by family, from small to large.

    Asks no network and builds no model. A declared miniature that was never bundled is left out.
    """
    cards = [_card(declared) for declared in declared_models().values() if _has_weights(declared)]
    return sorted(cards, key=_place)


def offered_card(name: str) -> ModelCard | None:
    """The entry of `offered` with this name, tag included; None if it has none."""
    declared = declared_models().get(name)
    return None if declared is None or not _has_weights(declared) else _card(declared)


def _has_weights(declared: Declared) -> bool:
    return declared.file is None or bundled_path(declared.file) is not None


def _place(card: ModelCard) -> tuple[bool, int, int, str]:
    families = [family.name for family in FAMILIES.values()]
    order = [*PUBLISHED]
    place = order.index(card.name) if card.name in PUBLISHED else len(order)
    return card.weights.state != "bundled", families.index(card.family), place, card.name


def _card(declared: Declared) -> ModelCard:
    family = FAMILIES[declared.module]
    title, top1, top1_source = _presented(declared.name, family.name, declared.file)
    return ModelCard(
        name=declared.name,
        title=title,
        family=family.name,
        mixer=family.mixer,
        has_scan=family.has_scan,
        top1=top1,
        top1_source=top1_source,
        licence=declared.license,
        classes=declared.num_classes,
        data=declared.data,
        input_size=declared.input_size,
        weights=status_of(declared),
        params=declared.params,
        macs=_macs(declared),
        no_causal_form=declared.no_causal_form,
    )


def _macs(declared: Declared) -> int | None:
    """As they were counted; those of a miniature are on the card beside its weights."""
    card = bundled_card(declared.file) if declared.file else None
    return declared.macs if card is None else int(card["macs"])


def _presented(name: str, family: str, file: str | None) -> tuple[str, float | None, str]:
    """Title, top-1 in percent and where that number is from."""
    published = PUBLISHED.get(name)
    if published is not None:
        if not published.top1:
            return published.title, published.top1, ""
        source = Sentence(
            "{source}, {pixels} pixels", source=published.source, pixels=published.pixels
        )
        return published.title, published.top1, source
    if file is None:
        return name, None, ""
    size = name.partition(".")[0].partition("_")[2]
    title = f"{family}-{size.title()}"
    title += ", trained causally" if trained_mixing(name) == "causal" else ""
    card = bundled_card(file)
    if card is None:
        return title, None, ""
    measured = Sentence(
        "measured on {count} validation pictures (see its card)", count=card["val_count"]
    )
    return title, 100 * float(card["val_top1"]), measured
