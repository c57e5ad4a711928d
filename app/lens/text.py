"""The words of the Lens tab. Those in `WIDGET` are filled in by the browser, token by token."""

from __future__ import annotations

import re

from app.language import label, noted, tr
from app.numbers import duration
from app.text import QUANTITIES

TITLE = noted("Lens")
HEADING = noted("What a token reads")
HELP = noted(
    "Point at a patch of the picture. Both models show, for the same place, which other patches "
    "they take in there. Arrow keys move, Home and End go to the ends of the scan."
)
LAYERS = (label("Layer, left model"), label("Layer, right model"))
MEASURES = ((label("Gradient"), "jacobian"), (label("Scan weights"), "scan"))
MEASURE_HELP = noted(
    "Gradient: how strongly the output changes with each input, the same measure for every model. "
    "Scan weights: the implicit attention of the scan itself."
)
ALL_PATHS = "all"
EVERY_PATH = noted("All paths")
PATHS_HELP = noted("Which way is played, and measured by scan weights.")
SIGNED = noted("Keep signs (scan weights)")
FOLLOWING = noted("Following what the layer does along its tokens …")
NO_SCAN_THERE = noted("{layer} has no scan, though other layers have.")
BY_GRADIENT = noted("Measured by gradient.")
NO_LAYER = noted("{model} has no layer {layer}, which the link asks for.")
PICKED = noted("Chosen place")
NO_PLACE = noted("The lens expects a place on the picture: point at a patch.")

CURVES = {
    **QUANTITIES,
    "gate": noted("Gate"),
    "output": noted("Output of the mixer"),
    "mixed": noted("Output of the convolution"),
    "spread": noted("Spread of the attention"),
}

# "reads n tokens" counts the fewest tokens that hold nine tenths of the weight.
WIDGET = {
    "reads": noted("Reads {n} of {all} tokens, {later} of it later in scan order."),
    "readers": noted("Is read by {n} of {all} tokens, {later} of it later in scan order."),
    "reads_raster": noted("Reads {n} of {all} tokens, {later} of it later row by row."),
    "readers_raster": noted("Is read by {n} of {all} tokens, {later} of it later row by row."),
    "state": noted("Step {step} of {all}: state norm {norm}; {kept} outlives the next token."),
    "no_state": noted("No scan, no state."),
    "nothing": noted("Nothing: all weights are zero."),
    "waiting": noted("Not measured yet."),
    "asked": noted("Being measured, one moment …"),
    "some": noted("Known once all tokens are measured: {n} of {all} by now."),
    "strongest": noted("Strongest: {places}."),
    "place": noted("row {row}, column {column} ({share})"),
    "where": noted("Row {row}, column {column} of {rows} × {columns}."),
    "same": noted("The same in both."),
    "moved": noted(
        "Causally it loses {lost} of what it read: {gone} lay on later tokens, where it now reads "
        "nothing. It gains {gained}."
    ),
    "falls": noted("Falls most at {place}."),
    "rises": noted("Rises most at {place}."),
    "count": noted(
        "Counted are the fewest tokens that hold 90 % of the weight. A place without colour has "
        "weight zero. What a token has of itself may be beyond the scale."
    ),
    "picker": noted("Token of {name}"),
    "modes": noted("What is shown"),
    "mode_reads": noted("What it reads"),
    "mode_readers": noted("What reads it"),
    "mode_state": noted("The state along the scan"),
    "rate": noted("{n} tokens a second"),
    "speed": noted("Speed"),
    "next": noted("Next token"),
    "position": noted("Position along the scan"),
    "range": noted("from {least} to {most}"),
    "play": noted("Play the scan"),
    "pause": noted("Pause"),
    "at": noted("{title}: {value} {unit}"),
    "order": noted("Scan path: {path}."),
    "visited": noted("state norm; it pales as the state forgets"),
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
