"""Every sentence the visitor reads."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.language import noted, told, tr
from app.numbers import count, duration, megabytes, number, percent
from app.precision import Precision
from mambaout.catalogue.cards import ModelCard
from mambaout.evaluation.novelty import Hint
from mambaout.explain.cam_methods import METHODS

TITLE = "MambaOut Live"
TAGLINE = noted(
    "Does seeing need a state space model? Give one picture to two image models, one that scans "
    "it with a selective state space and one that only convolves, and look at how each answers."
)

AFTER = noted("After the paper {paper}.")
PAPER = "MambaOut: Do We Really Need Mamba for Vision?"
PAPER_ADDRESS = "https://arxiv.org/abs/2405.07992"

TRY = noted("Or try one of these")
NO_MAP = noted("No heat map")
NO_SCAN = noted("No scan, no state")
NO_ANSWER = noted("No answer")
CHOOSE = noted("Choose a picture to begin.")
WORKING = noted("Working …")
WAITING = noted("Waiting until the models are free …")
TRACING = noted("Reading the state of the scan …")
STOPPED = noted("Stopped. What had been found until then is kept.")
UNEXPECTED = noted(
    "Something went wrong on our side, and it was written to the log. Your picture and the results "
    "above are still here: please try again."
)
NO_MEMORY = noted("There is not enough memory for this model now: please choose a smaller one.")
TRYING_AGAIN = noted("Memory ran out. Making room and trying again …")
TRIED_AGAIN = noted("Memory had run out: loaded models were dropped and this was tried again.")
WITHOUT_GPU = noted("The GPU cannot be used now. Computing on the CPU …")
DONE_WITHOUT_GPU = noted("The GPU could not be used, so this was computed on the CPU.")
TRIED_ON_CPU = noted("The device's memory had run out, so this was computed on the CPU.")

MIXING_HELP = noted(
    "Which tokens may each token see? Bidirectional: all of them, as in training. Causal: only "
    "those before it, row by row. Same weights in both."
)

HEAT_HEADING = noted("Where they look")
HEAT_HELP = noted("Select a row of an answer above to explain that class in both models.")
SCAN_HEADING = noted("What the scan remembers")
SCAN_HELP = noted("A selective scan walks over the patches one by one and carries a state along.")

MODELS_HEADING = noted("Models on offer")
MODELS_HELP = noted(
    "Bundled models answer without a network. The others are downloaded from their makers when "
    "they are first chosen. Top-1 is what each model's makers publish for ImageNet-1k; of bundled "
    "models, what was measured on validation pictures of their own classes."
)

METHOD_TITLES = {name: method.title for name, method in METHODS.items()}
SHARED_SCALE = noted(
    "One colour scale for both models. Each value is multiplied by the number of places on its "
    "grid, because on a finer grid the same evidence is spread over more of them."
)
NEXT_BEST = noted("the likeliest other class")
SWIPE_NEEDS_BOTH = noted("Swiping needs both maps, and one is missing: they stand side by side.")
SHARED_UNIT = noted("× places")

QUANTITIES = {
    "delta": noted("Step size Δ"),
    "retention": noted("Retention exp(ΔA)"),
    "half_life": noted("Memory half-life"),
    "state_norm": noted("State norm ‖h‖"),
    "write": noted("Written by the token"),
    "read": noted("Read from the state"),
}

QUANTITY_HELP = {
    "delta": noted(
        "How far the scan steps at this patch. A large step takes in the patch and forgets what "
        "came before; a small one passes it over."
    ),
    "retention": noted(
        "The share of the state that survives this patch, averaged over channels: 1 keeps "
        "everything, 0 forgets everything."
    ),
    "half_life": noted("After how many patches like this one half of the state is forgotten."),
    "state_norm": noted("How much the state holds after this patch."),
    "write": noted("How much this patch adds to the state."),
    "read": noted("How much of what this patch passes on was read from the state."),
}


PLACES = {
    ("upper", "left"): noted("upper left"),
    ("upper", "centre"): noted("upper centre"),
    ("upper", "right"): noted("upper right"),
    ("middle", "left"): noted("centre left"),
    ("middle", "centre"): noted("centre"),
    ("middle", "right"): noted("centre right"),
    ("lower", "left"): noted("lower left"),
    ("lower", "centre"): noted("lower centre"),
    ("lower", "right"): noted("lower right"),
}
PATHS = {
    "forward": noted("forward"),
    "backward": noted("backward"),
    "row": noted("row"),
    "column": noted("column"),
    "row reversed": noted("row reversed"),
    "column reversed": noted("column reversed"),
}


def choice(card: ModelCard) -> str:
    """An entry of the list to choose from: name, size, cost, accuracy, licence, weights."""
    facts = [card.title, tr("{count} parameters", count=count(card.params))]
    if card.macs is not None:
        facts.append(tr("{count}MACs", count=count(card.macs)))
    if card.top1 is not None:
        facts.append(f"{card.top1:.1f} %")
    facts.append(card.licence or tr("licence not stated"))
    # In full on the card, or when it is chosen: a list is skimmed.
    state = card.weights.state
    facts.append(tr("weights not here") if state == "unavailable" else weights_note(card))
    return " · ".join(facts)


def weights_note(card: ModelCard) -> str:
    """Where a model's weights are, in a few words."""
    weights = card.weights
    if weights.state == "bundled":
        return tr("bundled")
    if weights.state == "cached":
        return tr("on this machine")
    if weights.state == "available":
        # The makers' own files may hold more than the weights; timm's hold them and nothing else.
        size = megabytes(4 * card.params)
        if weights.reason.endswith(".safetensors"):
            return tr("{size} to download", size=size)
        return tr("more than {size} to download", size=size)
    return tr("not available: {reason}", reason=_lower_first(told(weights.reason).rstrip(".。")))


def arriving(package: str) -> str:
    """A status line while the packages behind the models are imported."""
    return tr("This page has just started. Still to be loaded: {package} …", package=package)


def loading(name: str, progress: tuple[int, int | None] | None) -> str:
    """A status line while a model is loaded or its weights are downloaded."""
    if progress is None:
        return tr("Loading {model} …", model=name)
    done, total = progress
    if total is None:
        return tr("Downloading {model}: {done}", model=name, done=megabytes(done))
    if done >= total:
        return tr("Loading {model} …", model=name)
    return tr(
        "Downloading {model}: {done} of {total}",
        model=name,
        done=megabytes(done),
        total=megabytes(total),
    )


def swiped(titles: Sequence[str]) -> str:
    """Which map is on which side of the divider."""
    return tr(
        "Left of the line {left}, right of it {right}: drag the line, or move the slider.",
        left=titles[0],
        right=titles[1],
    )


def asking(name: str) -> str:
    return tr("{model} looks at the picture …", model=name)


def explaining(name: str, progress: tuple[int, int | None] | None = None) -> str:
    """A status line while a heat map is made; with how far it is, where that takes long."""
    if progress is None or progress[1] is None:
        return tr("Drawing where {model} looks …", model=name)
    done, total = progress
    return tr(
        "Drawing where {model} looks: {done} of {total} …", model=name, done=done, total=total
    )


def done(seconds: float) -> str:
    return tr("Done in {time}.", time=duration(seconds))


def unsure(hint: Hint) -> str:
    """What an answer that is not sure of itself may mean, as measured."""
    return tr(
        "Perhaps none of its classes: on pictures of its own classes {inside} of the answers are "
        "as unsure as this one, on pictures of other things {outside}.",
        inside=percent(hint.unsure_inside),
        outside=percent(hint.unsure_outside),
    )


def knows(card: ModelCard) -> str:
    """Which classes a model can answer with, and what follows from that."""
    if card.classes < 100:
        return tr(
            "Knows {count} everyday things, and answers with one of them whatever it sees. Their "
            "names are English.",
            count=card.classes,
        )
    return tr(
        "Knows the {count} classes of {data}. Their names are English.",
        count=f"{card.classes:,}",
        data=card.data,
    )


def tensors(count: int) -> str:
    return tr("All {count} of its tensors were loaded.", count=count)


def precision(chosen: Precision) -> str:
    """In which precision a model answers, and why; nothing where nobody asked for another."""
    if chosen.name == "bfloat16":
        return tr(
            "Answers in bfloat16: on the example pictures its first answers are those of float32, "
            "and no probability is off by more than {off}.",
            off=f"{100 * chosen.off:.2g} %",
        )
    if chosen.changed:
        return tr(
            "Answers in float32: bfloat16 would change {changed} of {checked} answers to the "
            "example pictures.",
            changed=chosen.changed,
            checked=chosen.checked,
        )
    return tr("Answers in float32: bfloat16 is no faster here.") if chosen.slow else ""


def different_classes(left: int, right: int) -> str:
    return tr(
        "Different classes ({left} and {right}): no divergence",
        left=f"{left:,}",
        right=f"{right:,}",
    )


def only_one(missing: Sequence[str]) -> str:
    if len(missing) == 1:
        return tr("No answer from {model}.", model=missing[0])
    return tr("No answer from {left} or {right}.", left=missing[0], right=missing[1])


def stays_bidirectional(reason: str) -> str:
    return tr("Stays bidirectional. {reason}", reason=sentence(reason))


def sentence(words: str) -> str:
    """An error's text in the visitor's language, with a capital and a full stop."""
    if not words:
        return ""
    words = told(words)
    ended = words.endswith((".", "!", "?", "。", "\uff01", "\uff1f"))
    return f"{words[:1].upper()}{words[1:]}{'' if ended else '.'}"


def verdict(titles: Sequence[str], answers: Sequence[str], same: bool) -> str:
    """The comparison in one sentence."""
    if same:
        return tr("Both say {answer}.", answer=answers[0])
    return tr(
        "{left} says {left_answer}, {right} says {right_answer}.",
        left=titles[0],
        left_answer=answers[0],
        right=titles[1],
        right_answer=answers[1],
    )


def place(row: int, column: int, height: int, width: int) -> str:
    """Where a cell of a grid lies, in words: "upper left", "centre"."""
    down = ("upper", "middle", "lower")[3 * (2 * row + 1) // (2 * height)]
    across = ("left", "centre", "right")[3 * (2 * column + 1) // (2 * width)]
    return tr(PLACES[down, across])


def strongest(values: np.ndarray) -> str:
    """Where a map is greatest: "lower right (row 7, column 8 of 8 × 8)"."""
    height, width = values.shape
    row, column = (int(i) for i in np.unravel_index(int(np.nanargmax(values)), values.shape))
    return tr(
        "{place} (row {row}, column {column} of {height} × {width})",
        place=place(row, column, height, width),
        row=row + 1,
        column=column + 1,
        height=height,
        width=width,
    )


def measured(pictures: int, bidirectional: float, causal: float) -> str:
    """What the switch does to a model on many pictures."""
    return tr(
        "On {count} validation pictures the switch takes it from {before} to {after} right.",
        count=f"{pictures:,}",
        before=percent(bidirectional),
        after=percent(causal),
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
    return tr(
        "Seen from {layer}, {height} × {width} places.",
        layer=layer,
        height=shape[0],
        width=shape[1],
    )


def faint(greatest: float, high: float) -> str:
    """What to do where one map hardly shows on the scale of both."""
    if greatest > 0.2 * high:
        return ""
    share = percent(greatest / high)
    return tr(
        "Its greatest value is {share} of the shared scale: choose “Each its own” to see more.",
        share=share,
    )


def window(taps: np.ndarray) -> str:
    """How far a token looks through one convolution."""
    height, width = taps.shape
    if taps.all():
        return tr(
            "Each token sees the {height} × {width} around it, and nothing is carried along.",
            height=height,
            width=width,
        )
    return tr(
        "Each token sees {count} of the {height} × {width} around it, none after it.",
        count=int(taps.sum()),
        height=height,
        width=width,
    )


def unknown_here(name: str, label: str) -> str:
    return tr(
        "{model} has no class {label}: this map is for its own first answer.",
        model=name,
        label=label,
    )


def explained_now(labels: Sequence[str], chosen: str) -> str:
    """Which classes the two heat maps are for."""
    if chosen:
        return tr("Explaining {label}.", label=chosen)
    if len(set(labels)) == 1:
        return tr("Explaining {label}, the first answer of both.", label=labels[0])
    return tr("Explaining the first answer of each.")


def scan_caption(layer: int, path: str, values: np.ndarray) -> str:
    """What a map of the scan shows, in words."""
    return tr(
        "Layer {layer}, {path} path. Greatest in the {where}.",
        layer=layer,
        path=path_name(path),
        where=strongest(values),
    )


def path_name(path: str) -> str:
    """What a scan path is called."""
    return tr(PATHS.get(path, path))


def class_token_note(value: float | None, unit: str) -> str:
    """The class token's value, which has no place in the picture."""
    return "" if value is None else tr("Class token: {value}.", value=f"{number(value)} {unit}")


def heat_alt(method: str, name: str, label: str, values: np.ndarray) -> str:
    """Text alternative of a heat map."""
    return tr(
        "{method} of {model} for {label}: strongest in the {where}.",
        method=method,
        model=name,
        label=label,
        where=strongest(values),
    )


def scan_alt(name: str, quantity: str, layer: int, path: str, values: np.ndarray) -> str:
    """Text alternative of a map of the scan."""
    return tr(
        "{quantity} of {model}, layer {layer}, {path} path, drawn on the picture's patches: "
        "greatest in the {where}.",
        quantity=tr(QUANTITIES[quantity]),
        model=name,
        layer=layer,
        path=path_name(path),
        where=strongest(values),
    )


def _lower_first(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
