"""The words of the Lens tab. Those in `WIDGET` are filled in by the browser, token by token."""

from __future__ import annotations

import re

from app.language import tr
from app.numbers import duration

TITLE = "Lens"
HEADING = "What a token reads"
HELP = (
    "Point at a patch of the picture. Both models show, for the same place, which other patches "
    "they take in there. Arrow keys move, Home and End go to the ends of the scan."
)
MEASURES = {"Gradient": "jacobian", "Scan weights": "scan"}
MEASURE_HELP = (
    "Gradient: how strongly the output changes with each input, the same measure for every model. "
    "Scan weights: the implicit attention of the scan itself."
)
ALL_PATHS = "all"
PATHS_HELP = "Which way is played, and measured by scan weights."
SIGNED = "Keep signs (scan weights)"
FOLLOWING = "Following what the layer does along its tokens …"
BY_GRADIENT = "Measured by gradient."

CURVES = {
    "delta": "Step size Δ",
    "retention": "Retention exp(ΔA)",
    "state_norm": "State norm ‖h‖",
    "half_life": "Memory half-life",
    "write": "Written by the token",
    "read": "Read from the state",
    "gate": "Gate",
    "output": "Output of the mixer",
    "mixed": "Output of the convolution",
    "spread": "Spread of the attention",
}

# "reads n tokens" counts the fewest tokens that hold nine tenths of the weight.
WIDGET = {
    "reads": "Reads {n} of {all} tokens, {later} of it later in scan order.",
    "readers": "Is read by {n} of {all} tokens, {later} of it later in scan order.",
    "reads_raster": "Reads {n} of {all} tokens, {later} of it later row by row.",
    "readers_raster": "Is read by {n} of {all} tokens, {later} of it later row by row.",
    "state": "Step {step} of {all}: state norm {norm}, of which {kept} outlives the next token.",
    "no_state": "No scan, no state.",
    "nothing": "Nothing: all weights are zero.",
    "waiting": "Not measured yet.",
    "some": "Known once all tokens are measured: {n} of {all} by now.",
    "strongest": "Strongest: {places}.",
    "place": "row {row}, column {column} ({share})",
    "where": "Row {row}, column {column} of {rows} × {columns}.",
    "count": "Counted are the fewest tokens that hold 90 % of the weight. A place without colour "
    "has weight zero. What a token has of itself may be beyond the scale.",
    "picker": "Token of {name}",
    "modes": "What is shown",
    "mode_reads": "What it reads",
    "mode_readers": "What reads it",
    "mode_state": "The state along the scan",
    "rate": "{n} tokens a second",
    "speed": "Speed",
    "next": "Next token",
    "position": "Position along the scan",
    "range": "from {least} to {most}",
    "play": "Play the scan",
    "pause": "Pause",
    "at": "{title}: {value} {unit}",
    "order": "In the order of: {path}.",
    "visited": "state norm; it pales as the state forgets",
}


def layer_title(name: str, index: int, count: int) -> str:
    """Where a token mixer stands, counted from 1: "Stage 2, block 3", "Layer 4 of 8"."""
    numbers = [int(n) + 1 for n in re.findall(r"(?<=\.)\d+", f".{name}")]
    if len(numbers) >= 2:
        return tr("Stage {stage}, block {block}", stage=numbers[0], block=numbers[1])
    return tr("Layer {n} of {count}", n=index + 1, count=count)


def reading(name: str, done: int, total: int) -> str:
    return tr(
        "What the tokens of {name} read: {done} of {total} …", name=name, done=done, total=total
    )


def done(seconds: float) -> str:
    return tr("The lens is ready. It took {duration}.", duration=duration(seconds))


def caption(layer: str, rows: int, columns: int) -> str:
    return tr("{layer}, {rows} × {columns} tokens", layer=layer, rows=rows, columns=columns)


def alt(name: str) -> str:
    return tr("What {name} sees, with what the chosen token reads drawn over it", name=name)


def on_pointing(tokens: int) -> str:
    return tr(
        "This layer has {n} tokens: what one reads is measured when you point at it.", n=tokens
    )
