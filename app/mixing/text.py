"""The words of the Mixing tab."""

from __future__ import annotations

from app.language import label, noted, tr
from app.numbers import duration, number
from app.text import path_name, sentence
from mambaout.catalogue.mixing import Mixing

TAB = noted("Mixing")
WHICH = label("Which models")
WHICH_CHOICES = ((label("Both"), "both"), (label("Left"), "left"), (label("Right"), "right"))
MODELS = {"left": label("Left model"), "right": label("Right model")}
ANSWERS = {
    "left": label("Five best answers, left model"),
    "right": label("Five best answers, right model"),
}
HEAT_MAPS = {"left": label("Heat map, left model"), "right": label("Heat map, right model")}

HEADING = noted("One model, two mixings")
HELP = noted(
    "The same weights answer twice: once every token may see all others, once only those before "
    "it, row by row. Both answers are always computed. Select a class in a table to explain it."
)
SWITCHED = noted("Same weights, switched")
PATHS = noted("Same weights, some scan paths only")
PATHS_CHOICE = label("Scan paths that run")
PATHS_HELP = label("Choose one or more to see what they answer alone.")
TRAINED = noted("Other weights: trained the other way")
TRAINED_HELP = noted(
    "This is not the switch. A second model of the same architecture was trained causally from the "
    "start, on the same pictures. Whether a model needs to look both ways is a question about this "
    "one; what the switch breaks is a question about the one above. Each was trained once, and two "
    "trainings differ by chance too."
)
NO_TWIN = noted(
    "No model of this architecture that was trained causally comes with this page: what is above "
    "is the switch alone."
)
IS_TWIN = noted(
    "The weights above were trained causally themselves: there is nothing to set beside them."
)
ALL_SEE_ALL = noted("Every token may see all others.")
CHANGE = noted("What changed")


READS = noted("What a token reads, in both mixings")
READS_HELP = noted(
    "Point at a patch of one of the pictures, or move with the arrow keys: what its token reads is "
    "measured then, in one layer of each model, on the same weights. The third picture is causal "
    "minus bidirectional. All scan paths of a mixing run here, whatever is chosen above."
)
CLASS_TOKEN = noted("The class token is no patch: what is read of it is left out.")
INPUTS_DIFFER = noted(
    "In the causal model the layers before this one are causal too, so the tokens it is given "
    "differ too."
)
CHANGE_UNIT = noted("causal minus bidirectional, same unit; zero is in the middle of the scale")


def pane_title(model: str, mixing: str) -> str:
    return tr("{model}, {mixing}", model=model, mixing=mixing.replace("\u00ad", ""))


def causal_less_bidirectional() -> str:
    return tr("causal minus bidirectional")


def reading(name: str) -> str:
    return tr("What the token reads in {name}, bidirectional and causal …", name=name)


def read_in(seconds: float) -> str:
    return tr("The token's reads took {time}.", time=duration(seconds))


def title(kind: str, trained: Mixing) -> str:
    """What an answer is called, with whether its weights were trained that way."""
    if kind == "trained":
        return tr("Causal, as trained")
    if kind == "paths":
        return tr("These paths only")
    if kind == "causal":
        return tr("Causal, as trained") if trained == "causal" else tr("Causal, switched")
    return tr("Bidirectional, switched") if trained == "causal" else tr("Bidirectional, as trained")


def short_title(kind: str) -> str:
    """The head of a column of numbers."""
    return {
        "bidirectional": tr("bidirec\u00adtional"),
        "causal": tr("causal"),
        "paths": tr("these paths"),
        "trained": tr("trained causally"),
    }[kind]


def explaining(name: str) -> str:
    return tr("Drawing where {name} looks in each mixing …", name=name)


def forward(seconds: float, device: str) -> str:
    return tr("Forward pass: {time}, {device}.", time=duration(seconds), device=device.upper())


def common(count: int) -> str:
    return tr("{count} of 5 in both top fives", count=count)


def divergence(kind: str, value: float) -> str:
    return tr("{kind} divergence {value} nats", kind=kind, value=number(value))


def only_paths(paths: tuple[str, ...]) -> str:
    return tr("Only these run: {paths}.", paths=", ".join(map(path_name, paths)))


def no_paths(reason: str) -> str:
    return tr("There are no paths to choose. {reason}", reason=sentence(reason))


def no_causal_form(reason: str) -> str:
    return tr("This model cannot be switched. {reason}", reason=sentence(reason))


def table_caption(first: str, second: str) -> str:
    return tr(
        "Every class of both top fives, {first} and {second}",
        first=first.replace("\u00ad", ""), second=second,
    )  # fmt: skip


def top_five(name: str) -> str:
    return tr("Five best answers, {name}", name=name)


def of_pictures(pictures: int) -> str:
    return tr(
        "Measured on {pictures} validation pictures of these classes, with 95 % intervals (Wilson)",
        pictures=f"{pictures:,}",
    )


def share(right: float, low: float, high: float) -> str:
    return tr(
        "{right} ({low} to {high})",
        right=f"{100 * right:.1f} %", low=f"{100 * low:.1f}", high=f"{100 * high:.1f} %",
    )  # fmt: skip


def explains(label: str) -> str:
    return tr("All maps of this model explain {label}.", label=label)


def heat_alt(name: str, what: str, label: str, where: str) -> str:
    return tr(
        "Grad-CAM of {name} for {label}, {what}: strongest in the {where}.",
        name=name, what=what, label=label, where=where,
    )  # fmt: skip


def strongest_in(where: str) -> str:
    return tr("Strongest in the {where}.", where=where)


def difference_heading(first: str, second: str) -> str:
    return tr(
        "Map: {second} minus {first}",
        first=first.replace("\u00ad", ""), second=second,
    )  # fmt: skip


def difference_words(rise: str, fall: str) -> str:
    """Where a difference is greatest, each way; "" for nowhere."""
    if rise and fall:
        return tr("Rises most in the {rise}, falls most in the {fall}.", rise=rise, fall=fall)
    if rise:
        return tr("Rises most in the {rise}, falls nowhere.", rise=rise)
    if fall:
        return tr("Falls most in the {fall}, rises nowhere.", fall=fall)
    return tr("The same everywhere.")
