"""Every sentence the visitor reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.language import tr
from app.numbers import count, duration, megabytes, number, percent
from mambaout.explain.cam_methods import METHODS
from mambaout.models.catalogue import ModelCard

TITLE = "MambaOut Live"
TAGLINE = (
    "Does seeing need a state space model? Give one picture to two image models, one that scans "
    "it with a selective state space and one that only convolves, and look at how each answers."
)

AFTER = "After the paper"
PAPER = "MambaOut: Do We Really Need Mamba for Vision?"
PAPER_ADDRESS = "https://arxiv.org/abs/2405.07992"

TRY = "Or try one of these"
NO_MAP = "No heat map"
NO_SCAN = "No scan, no state"
NO_ANSWER = "No answer"
CHOOSE = "Choose a picture to begin."
WORKING = "Working …"
TRACING = "Reading the state of the scan …"
STOPPED = "Stopped. What had been found until then is kept."
UNEXPECTED = (
    "Something went wrong on our side, and it was written to the log. Your picture and the results "
    "above are still here: please try again."
)
NO_MEMORY = "There is not enough memory for this model now: please choose a smaller one."
TRYING_AGAIN = "Memory ran out. Making room and trying again …"
TRIED_AGAIN = "Memory had run out: loaded models were dropped and this was tried again."
TRIED_ON_CPU = "The device's memory had run out, so this was computed on the CPU."

MIXING_HELP = (
    "Which tokens may each token see? Bidirectional: all of them, as in training. Causal: only "
    "those before it, row by row. Same weights in both."
)

HEAT_HEADING = "Where they look"
HEAT_HELP = "Select a row of an answer above to explain that class in both models."
SCAN_HEADING = "What the scan remembers"
SCAN_HELP = "A selective scan walks over the patches one by one and carries a state along."

MODELS_HEADING = "Models on offer"
MODELS_HELP = (
    "Bundled models answer without a network. The others are downloaded from their makers when "
    "they are first chosen. Top-1 is what each model's makers publish for ImageNet-1k; of bundled "
    "models, what was measured on validation pictures of their own classes."
)

METHOD_TITLES = {name: method.title for name, method in METHODS.items()}
SHARED_SCALE = (
    "One colour scale for both models. Each value is multiplied by the number of places on its "
    "grid, because on a finer grid the same evidence is spread over more of them."
)
NEXT_BEST = tr("the likeliest other class")
SWIPE_NEEDS_BOTH = tr("Swiping needs both maps, and one is missing: they stand side by side.")
SHARED_UNIT = "× places"

QUANTITIES = {
    "delta": "Step size Δ",
    "retention": "Retention exp(ΔA)",
    "half_life": "Memory half-life",
    "state_norm": "State norm ‖h‖",
    "write": "Written by the token",
    "read": "Read from the state",
}

QUANTITY_HELP = {
    "delta": "How far the scan steps at this patch. A large step takes in the patch and forgets "
    "what came before; a small one passes it over.",
    "retention": "The share of the state that survives this patch, averaged over channels: "
    "1 keeps everything, 0 forgets everything.",
    "half_life": "After how many patches like this one half of the state is forgotten.",
    "state_norm": "How much the state holds after this patch.",
    "write": "How much this patch adds to the state.",
    "read": "How much of what this patch passes on was read from the state.",
}


def choice(card: ModelCard) -> str:
    """An entry of the list to choose from: name, size, cost, accuracy, licence, weights."""
    facts = [card.title, f"{count(card.params)} parameters"]
    if card.macs is not None:
        facts.append(f"{count(card.macs)}MACs")
    if card.top1 is not None:
        facts.append(f"{card.top1:.1f} %")
    facts.append(card.licence or "licence not stated")
    # In full on the card, or when it is chosen: a list is skimmed.
    state = card.weights.state
    facts.append("weights not here" if state == "unavailable" else weights_note(card))
    return " · ".join(facts)


def weights_note(card: ModelCard) -> str:
    """Where a model's weights are, in a few words."""
    weights = card.weights
    if weights.state == "bundled":
        return "bundled"
    if weights.state == "cached":
        return "on this machine"
    if weights.state == "available":
        # The makers' own files may hold more than the weights; timm's hold them and nothing else.
        least = "" if weights.reason.endswith(".safetensors") else "more than "
        size = megabytes(4 * card.params)
        return f"{least}{size} to download"
    return f"not available: {_lower_first(weights.reason.rstrip('.'))}"


def loading(name: str, progress: tuple[int, int | None] | None) -> str:
    """A status line while a model is loaded or its weights are downloaded."""
    if progress is None:
        return f"Loading {name} …"
    done, total = progress
    if total is not None and done >= total:
        return f"Loading {name} …"
    of = f" of {megabytes(total)}" if total else ""
    return f"Downloading {name}: {megabytes(done)}{of}"


def swiped(titles: Sequence[str]) -> str:
    """Which map is on which side of the divider."""
    return tr(
        "Left of the line {left}, right of it {right}: drag the line, or move the slider.",
        left=titles[0],
        right=titles[1],
    )


def asking(name: str) -> str:
    return f"{name} looks at the picture …"


def explaining(name: str, progress: tuple[int, int | None] | None = None) -> str:
    """A status line while a heat map is made; with how far it is, where that takes long."""
    if progress is None or progress[1] is None:
        return tr("Drawing where {model} looks …", model=name)
    done, total = progress
    return tr(
        "Drawing where {model} looks: {done} of {total} …", model=name, done=done, total=total
    )


def done(seconds: float) -> str:
    return f"Done in {duration(seconds)}."


def knows(card: ModelCard) -> str:
    """Which classes a model can answer with, and what follows from that."""
    if card.classes < 100:
        return (
            f"Knows {card.classes} everyday things, and answers with one of them whatever it sees."
        )
    return f"Knows the {card.classes:,} classes of {card.data}."


def tensors(count: int) -> str:
    return f"All {count} of its tensors were loaded."


def different_classes(left: int, right: int) -> str:
    return f"Different classes ({left:,} and {right:,}): no divergence"


def only_one(missing: Sequence[str]) -> str:
    return f"No answer from {' or '.join(missing)}."


def stays_bidirectional(reason: str) -> str:
    return f"Stays bidirectional. {sentence(reason)}"


def sentence(words: str) -> str:
    """An error's text with a capital and a full stop."""
    if not words:
        return ""
    return f"{words[:1].upper()}{words[1:]}{'' if words.endswith(('.', '!', '?')) else '.'}"


def verdict(titles: Sequence[str], answers: Sequence[str], same: bool) -> str:
    """The comparison in one sentence."""
    if same:
        return f"Both say {answers[0]}."
    return f"{titles[0]} says {answers[0]}, {titles[1]} says {answers[1]}."


def place(row: int, column: int, height: int, width: int) -> str:
    """Where a cell of a grid lies, in words: "upper left", "centre"."""
    down = ("upper", "middle", "lower")[3 * (2 * row + 1) // (2 * height)]
    across = ("left", "centre", "right")[3 * (2 * column + 1) // (2 * width)]
    if down == "middle":
        return "centre" if across == "centre" else f"centre {across}"
    return f"{down} {across}"


def strongest(values: np.ndarray) -> str:
    """Where a map is greatest: "lower right (row 7, column 8 of 8 × 8)"."""
    height, width = values.shape
    row, column = (int(i) for i in np.unravel_index(int(np.nanargmax(values)), values.shape))
    where = place(row, column, height, width)
    return f"{where} (row {row + 1}, column {column + 1} of {height} × {width})"


def measured(pictures: int, bidirectional: float, causal: float) -> str:
    """What the switch does to a model on many pictures."""
    return (
        f"On {pictures:,} validation pictures the switch takes it from {percent(bidirectional)} to "
        f"{percent(causal)} right."
    )


def heat_caption(label: str, values: np.ndarray, rival: str = "") -> str:
    """What a heat map shows, in words; no label where the method knows no classes."""
    where = strongest(values)
    if rival:
        return tr(
            "For {label} rather than {rival}: strongest in the {where}.",
            label=label,
            rival=rival,
            where=where,
        )
    if label:
        return tr("For {label}: strongest in the {where}.", label=label, where=where)
    return tr("Strongest in the {where}.", where=where)


def layer_note(layer: str, shape: tuple[int, ...]) -> str:
    return f"Seen from {layer}, {shape[0]} × {shape[1]} places."


def faint(greatest: float, high: float) -> str:
    """What to do where one map hardly shows on the scale of both."""
    if greatest > 0.2 * high:
        return ""
    share = percent(greatest / high)
    return f"Its greatest value is {share} of the shared scale: choose “Each its own” to see more."


def window(taps: np.ndarray) -> str:
    """How far a token looks through one convolution."""
    height, width = taps.shape
    if taps.all():
        return f"Each token sees the {height} × {width} around it, and nothing is carried along."
    return f"Each token sees {int(taps.sum())} of the {height} × {width} around it, none after it."


def unknown_here(name: str, label: str) -> str:
    return f"{name} has no class {label}: this map is for its own first answer."


def explained_now(labels: Sequence[str], chosen: str) -> str:
    """Which classes the two heat maps are for."""
    if chosen:
        return f"Explaining {chosen}."
    if len(set(labels)) == 1:
        return f"Explaining {labels[0]}, the first answer of both."
    return "Explaining the first answer of each."


def scan_caption(layer: int, path: str, values: np.ndarray) -> str:
    """What a map of the scan shows, in words."""
    return f"Layer {layer}, {path} path. Greatest in the {strongest(values)}."


def class_token_note(value: float | None, unit: str) -> str:
    """The class token's value, which has no place in the picture."""
    return "" if value is None else f"Class token: {number(value)} {unit}."


def heat_alt(method: str, name: str, label: str, values: np.ndarray) -> str:
    """Text alternative of a heat map."""
    return f"{method} of {name} for {label}: strongest in the {strongest(values)}."


def scan_alt(name: str, quantity: str, layer: int, path: str, values: np.ndarray) -> str:
    """Text alternative of a map of the scan."""
    return (
        f"{QUANTITIES[quantity]} of {name}, layer {layer}, {path} path, drawn on the picture's "
        f"patches: greatest in the {strongest(values)}."
    )


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
