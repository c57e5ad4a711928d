"""A comparison as one zip file: numbers as JSON, maps as pictures, and a text that explains them.

The same answers to the same picture make the same bytes: entries and keys are sorted, numbers are
rounded, and there is no time of day and no duration in it.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from mambaout.catalogue.bundled import trained_mixing
from mambaout.catalogue.cards import offered_card
from mambaout.catalogue.hashing import file_sha256
from mambaout.evaluation.comparison_text import read_me
from mambaout.evaluation.said import Answered, Said, difference

if TYPE_CHECKING:
    from mambaout.explain import Explanation, PathTrace

SCHEMA = 1
"""Of `report.json`: raised when a key changes its meaning or goes away."""

_PACKAGES = (
    "grad-cam",
    "mambaout-live",
    "numba",
    "numpy",
    "Pillow",
    "safetensors",
    "timm",
    "torch",
)
_DIGITS = 6  # significant; a float32 has seven
_FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of zip


@dataclass(frozen=True)
class PictureFacts:
    """Which picture it was, without a name and without the picture."""

    sha256: str  # of the decoded pixels: red, green, blue, row by row, 8 bits each
    width: int  # [px]
    height: int

    @classmethod
    def of(cls, picture: Image.Image) -> PictureFacts:
        """Of a picture as it was given to the models."""
        digest = hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()
        return cls(digest, picture.width, picture.height)


@dataclass(frozen=True, eq=False)
class Report:
    """What is reported of one picture.

    Attributes:
        picture: which one it was.
        options: what was chosen; values that JSON can hold.
        device: where the models ran.
        answers: with different ids.
        pairs: ids of two answers to compare, the one that is compared with first.
        missing: ids of answers that could not be had, and why.
        maps: pictures of maps, by the name of their file without its ending.
    """

    picture: PictureFacts
    options: Mapping[str, Any]
    device: str
    answers: Sequence[Answered]
    pairs: Sequence[tuple[str, str]] = ()
    missing: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, Image.Image] = field(default_factory=dict)


def write_report(report: Report) -> bytes:
    """The zip file: `report.json`, `README.txt` and a PNG for each of the maps."""
    files = {
        "README.txt": read_me(report.answers, report.maps).encode(),
        "report.json": as_json(report).encode(),
        **{f"{name}.png": _png(image) for name, image in report.maps.items()},
    }
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _FIRST_DAY)
            entry.create_system = 3  # as on Unix, wherever it is written
            entry.external_attr = 0o644 << 16
            packed = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name], packed)
    return written.getvalue()


def as_json(report: Report) -> str:
    """`report.json`: what `as_dict` gives, keys sorted."""
    document = as_dict(report)
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)


def as_dict(report: Report) -> dict[str, Any]:
    """The numbers of a report, ready for JSON."""
    said = {answer.id: answer.said for answer in report.answers}
    return {
        "schema": SCHEMA,
        "software": software(),
        "device": report.device,
        "picture": {
            "sha256": report.picture.sha256,
            "width": report.picture.width,
            "height": report.picture.height,
        },
        "options": dict(report.options),
        "models": {name: _model(name) for name in sorted({a.name for a in report.answers})},
        "answers": {answer.id: _answer(answer) for answer in report.answers},
        "missing": dict(report.missing),
        "differences": [
            {"first": first, "second": second, **_difference(said[first], said[second])}
            for first, second in report.pairs
        ],
    }


def software() -> dict[str, str | None]:
    """Versions of what computed; None for what is not installed as a package."""
    return {name: _version(name) for name in _PACKAGES} | {"Python": platform.python_version()}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # an extra, or this project where it runs from a checkout
        return None


def _model(name: str) -> dict[str, Any]:
    card = offered_card(name)
    weights = card.weights.path if card else None
    return {
        "title": card.title if card else name,
        "family": card.family if card else None,
        "licence": (card.licence or None) if card else None,
        "parameters": card.params if card else None,
        "trained_mixing": trained_mixing(name),
        "weights_sha256": file_sha256(weights) if weights else None,
    }


def _answer(answer: Answered) -> dict[str, Any]:
    said = answer.said
    return {
        "model": answer.name,
        "mixing": answer.mixing,
        "paths": list(answer.paths) or None,
        "top5": [_class(said, index) for index in said.best()],
        "probabilities": {
            label: _rounded(p)
            for label, p in zip(said.vocabulary.labels, said.probabilities, strict=True)
        },
        "heat": _heat(answer.heat, said) if answer.heat else _why_not(answer.no_heat),
        "scan": [_path(path) for path in answer.trace]
        if answer.trace
        else _why_not(answer.no_trace),
    }


def _class(said: Said, index: int) -> dict[str, Any]:
    return {
        "key": said.vocabulary.keys[index],
        "label": said.vocabulary.labels[index],
        "probability": _rounded(said.probabilities[index]),
    }


def _heat(heat: Explanation, said: Said) -> dict[str, Any]:
    return {
        "method": heat.method,
        "layer": heat.layer,
        "class": None if heat.class_index is None else _class(said, heat.class_index),
        "unit": heat.unit,
        "signed": heat.signed,
        "caveat": heat.caveat,
        "grid": list(heat.values.shape),
        "least": _rounded(heat.values.min()),
        "greatest": _rounded(heat.values.max()),
        "values": [[_rounded(value) for value in row] for row in heat.values],
    }


def _path(path: PathTrace) -> dict[str, Any]:
    return {
        "layer": path.layer,
        "number": path.layer_index + 1,
        "scan_path": path.path,  # not "path": gradio's client takes what has one for a file
        "grid": list(path.grid),
        "steps": len(path.order),
        "quantities": {
            name: {"unit": unit, **_summary(getattr(path, name))}
            for name, unit in path.units.items()
        },
    }


def _summary(values: np.ndarray) -> dict[str, float | None]:
    return {
        "least": _rounded(values.min()),
        "mean": _rounded(values.mean(dtype=np.float64)),
        "greatest": _rounded(values.max()),
    }


def _why_not(reason: str) -> dict[str, str] | None:
    return {"why_not": reason} if reason else None


def _difference(first: Said, second: Said) -> dict[str, Any]:
    found = difference(first, second)
    return {
        "same_top_class": found.same_top,
        "common_in_top5": found.common,
        "kl_nats": None if found.kl is None else _rounded(found.kl),
        "js_nats": None if found.js is None else _rounded(found.js),
    }


def _rounded(value: float | np.floating[Any]) -> float | None:
    """Six significant digits; None where there is no finite number."""
    return float(f"{float(value):.{_DIGITS}g}") if np.isfinite(value) else None


def _png(image: Image.Image) -> bytes:
    """Without anything that the image carries beside its pixels."""
    bare = Image.frombytes("RGB", image.size, image.convert("RGB").tobytes())
    written = io.BytesIO()
    bare.save(written, "PNG", optimize=True)
    return written.getvalue()
