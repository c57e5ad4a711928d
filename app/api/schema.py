"""The form of every answer of the public interface, as types; JSON schemas are made of them."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from pydantic import TypeAdapter
from typing_extensions import TypedDict  # pydantic wants this one before Python 3.12

Mixing = Literal["bidirectional", "causal"]


class Class(TypedDict):
    """A class with the probability that a model gives it."""

    key: str  # what other models know it by: a WordNet number, else its name
    label: str
    probability: float


class Picture(TypedDict):
    """Which picture it was."""

    sha256: str  # of the decoded pixels
    width: int
    height: int


class Classification(TypedDict):
    """What one model says of a picture."""

    model: str
    mixing: Mixing
    device: str
    picture: Picture
    classes: list[Class]  # best first


class WhyNot(TypedDict):
    """The reason why something is missing."""

    why_not: str


Heat = TypedDict(
    "Heat",
    {
        "method": str,
        "layer": str,
        "class": Class | None,
        "unit": str,
        "signed": bool,
        "caveat": str,
        "grid": list[int],  # rows and columns
        "least": float | None,
        "greatest": float | None,
        "values": list[list[float | None]],
    },
)


class Quantity(TypedDict):
    """The range of one quantity over the tokens of a scan."""

    unit: str
    least: float | None
    mean: float | None
    greatest: float | None


class ScanPath(TypedDict):
    """One scan path of one layer."""

    layer: str
    number: int  # of the layer, from 1
    scan_path: str
    grid: list[int]
    steps: int
    quantities: dict[str, Quantity]


class Answer(TypedDict):
    """What one model says of a picture in one mixing, and why."""

    model: str
    mixing: Mixing
    paths: list[str] | None
    top5: list[Class]
    probabilities: dict[str, float]  # of every class, by its label
    heat: Heat | WhyNot | None
    scan: list[ScanPath] | WhyNot | None


class ModelFacts(TypedDict):
    """Where an answer is from."""

    title: str
    family: str | None
    licence: str | None
    parameters: int | None
    trained_mixing: Mixing
    weights_sha256: str | None


class Difference(TypedDict):
    """What sets a second answer apart from a first one."""

    first: str  # ids of answers
    second: str
    same_top_class: bool
    common_in_top5: int
    kl_nats: float | None  # None where the two know different classes
    js_nats: float | None


class Report(TypedDict):
    """Several answers to one picture, compared."""

    schema: int
    software: dict[str, str | None]
    device: str
    picture: Picture
    options: dict[str, str]
    models: dict[str, ModelFacts]
    answers: dict[str, Answer]
    missing: dict[str, str]  # ids of answers that could not be had, and why
    differences: list[Difference]


class Reads(TypedDict):
    """What one patch reads from every patch, in one layer of a model."""

    model: str
    mixing: Mixing
    layer: str
    layers: list[str]  # what there is to choose from
    measure: str
    row: int  # of the reading patch, from 0
    column: int
    grid: list[int]  # rows and columns
    unit: str
    caveat: str
    values: list[list[float]]
    share_after: float | None  # read from patches after it in raster order; 0 where causal
    reach: float | None  # how many rows or columns away nine tenths of it are found


class ModelCard(TypedDict):
    """A model on offer."""

    name: str
    title: str
    family: str
    mixer: str
    has_scan: bool
    parameters: int
    multiply_adds: int | None
    top1_percent: float | None  # as published
    classes: int
    data: str
    pixels: int  # per side
    licence: str
    trained_mixing: Mixing
    weights: Literal["bundled", "cached", "available", "unavailable"]
    why_unavailable: str


class Models(TypedDict):
    """Every model on offer."""

    models: list[ModelCard]


@cache
def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON schema of one of the types above."""
    return TypeAdapter(kind).json_schema()
