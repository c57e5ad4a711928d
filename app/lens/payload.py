"""What is sent to the widget: JSON, with weights in 16 bits, so that zero stays exactly zero."""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from app.language import tr
from app.lens import text
from app.lens.reader import Rows
from app.lens.request import Look, Walk
from app.text import path_name
from mambaout.pictures.overlay import Scale

_TOP = 2**15 - 1  # the code of a row's greatest weight


MODES = ("reads", "readers", "state")


def whole(
    key: str,
    looks: Sequence[Look],
    path: str,
    found: Sequence[tuple[int, Rows]],
    *,
    coming: bool,
    modes: Sequence[str] = MODES,
) -> str:
    """The value of the widget, as JSON: every pane, and weights, added to those under one key.

    Args:
        key: changes with what is looked at.
        looks: the panes, left to right.
        path: the scan path to play.
        found: weights, each with the index of its pane.
        coming: whether more of them follow by themselves.
        modes: what can be shown, of `MODES`; the scan can be played where its state is among it.
    """
    pictures = {id(look.seen): look.seen for look in looks if look.seen is not None}
    places = {picture: i for i, picture in enumerate(pictures)}
    value = {
        "key": key,
        "coming": coming,
        "modes": modes,
        "pictures": [_picture(picture) for picture in pictures.values()],
        "panes": [pane(look, path) | {"picture": places.get(id(look.seen))} for look in looks],
        "words": {name: tr(words) for name, words in text.WIDGET.items()},
        "titles": {name: tr(words) for name, words in text.CURVES.items()},
        "colours": {
            "plain": _table(Scale(0, 255), np.arange(256)),
            "signed": _table(Scale(-255, 255, signed=True), np.arange(-255, 256)),
        },
        "rows": [rows(index, some) for index, some in found],
    }
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def pane(look: Look, path: str) -> dict[str, Any]:
    """One model's half. `path` is played where the layer has it, its first one elsewhere."""
    if look.error or look.seen is None:
        return {"name": look.title, "line": look.line, "error": look.error}
    rows, columns = look.grid
    walk = next((walk for walk in look.walks if walk.path == path), look.walks[0])
    caption = text.caption(
        text.layer_title(look.layer, look.layers.index(look.layer), len(look.layers)),
        rows, columns,
    )  # fmt: skip
    return {
        "name": look.title,
        "line": look.line,
        "error": "",
        "caption": caption,
        "alt": text.alt(look.title),
        "box": look.box,
        "rows": rows,
        "columns": columns,
        "unit": look.unit,
        "signed": look.signed,
        "pointed": look.pointed,
        "scale": look.scale,
        "of": look.of,
        "notes": list(look.notes),
        "walk": _walk(walk),
    }


def rows(index: int, found: Rows) -> dict[str, Any]:
    """Some rows of one pane: for each its greatest weight, and 16 bits for every weight.

    A weight that is not zero has a code that is not zero.
    """
    weights = found.weights.astype(np.float64)
    high = np.abs(weights).max(1)
    shares = np.divide(weights, high[:, None], out=np.zeros_like(weights), where=high[:, None] > 0)
    codes = np.sign(shares) * np.ceil(np.abs(shares) * _TOP)
    return {
        "pane": index,
        "patches": found.patches.tolist(),
        "high": [float(f"{value:.6g}") for value in high],
        "codes": base64.b64encode(codes.astype("<i2").tobytes()).decode(),
    }


def _walk(walk: Walk) -> dict[str, Any]:
    return {
        "path": path_name(walk.path) if walk.path else "",
        "order": walk.order.tolist(),
        "curves": [
            {"id": name, "unit": tr(walk.units[name]), "values": [_number(v) for v in values]}
            for name, values in sorted(
                walk.curves.items(), key=lambda item: [*text.CURVES].index(item[0])
            )
        ],
    }


def _number(value: float) -> float | None:
    """Four digits; JSON knows neither infinity nor "not a number"."""
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _table(scale: Scale, values: np.ndarray) -> str:
    """Red, green and blue of each value, one byte each."""
    colours = scale.colours(values[None].astype(np.float64))[0].round().astype(np.uint8)
    return base64.b64encode(colours.tobytes()).decode()


def _picture(picture: Image.Image) -> str:
    data = io.BytesIO()
    picture.convert("L").save(data, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()
