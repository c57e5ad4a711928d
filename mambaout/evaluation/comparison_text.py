"""The text that lies beside a report's numbers: what each file is, and what not to read into it."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence

from mambaout.catalogue.bundled import trained_mixing
from mambaout.catalogue.cards import offered_card
from mambaout.evaluation import caveats
from mambaout.evaluation.said import Answered

_NUMBERS = """\
The numbers. "answers" holds, for every answer: the model and the token mixing it answered in, the
probability of every class, the five best classes, the raw values of its heat map, and least, mean
and greatest value of what its scans did, layer by layer. "differences" compares answers: "second"
with "first", in nats. "models" names the weights by their SHA-256. "picture" is the size of the
picture and the SHA-256 of its decoded pixels (red, green, blue, row by row, 8 bits each). null is
what was not asked for, "why_not" what could not be had. Numbers are rounded to six significant
digits."""
_OVERLAY = (
    "The heat map over the part of the picture that the model sees. Grey is the picture, colour "
    "is the map, one cell for each place of its grid."
)
_SCAN = "What the scan did at each patch, drawn over the picture, as it stood on the page."
_DIFFERENCE = "One heat map less another, drawn over the picture: orange is more, blue is less."
_STABLE = (
    "The same picture, models and options give this file byte for byte on the same machine and "
    "software: it holds no times. Other processors and versions may round otherwise."
)
_CONFIDENT = (
    "A probability is what the model's softmax says, not how often it is right. A heat map shows "
    "what one method makes of one layer; its own caveat stands beside its values."
)


def read_me(answers: Sequence[Answered], maps: Collection[str]) -> str:
    """`README.txt` of a report.

    Args:
        answers: those in the report.
        maps: names of its pictures, without their ending.
    """
    files = [("report.json", _NUMBERS)]
    files += [(f"{name}.png", _map(name)) for name in sorted(maps)]
    lines = ["MambaOut Live: a report", ""]
    for name, what in files:
        lines += [name, *_wrapped(what, "    "), ""]
    lines += ["Before you believe it", ""]
    for caveat in [*_caveats(answers), _CONFIDENT, _STABLE]:
        lines += [*_wrapped(caveat, "  ", "- "), ""]
    return "\n".join(lines)


def _map(name: str) -> str:
    if name.startswith("scan"):
        return _SCAN
    return _DIFFERENCE if name.startswith("difference") else _OVERLAY


def _caveats(answers: Sequence[Answered]) -> list[str]:
    """What there is to say about the answers that are there, each once."""
    found: dict[str, None] = {}
    for answer in answers:
        card, trained = offered_card(answer.name), trained_mixing(answer.name)
        title, family = (card.title, card.family) if card else (answer.name, "")
        if answer.mixing == "causal" and trained == "bidirectional":
            found |= dict.fromkeys((caveats.NOT_RETRAINED, caveats.CONFIDENCE))
            if family in caveats.CAUSAL_FORM:
                found[f"{family} {caveats.CAUSAL_FORM[family]}"] = None
        elif answer.mixing == "causal":
            found[f"{title} {caveats.TRAINED_CAUSALLY}"] = None
        elif trained == "causal":
            found[f"{title} {caveats.OPENED_NOT_RETRAINED}"] = None
        if answer.paths:
            found[f"{title}, {', '.join(answer.paths)} alone: {caveats.PATHS_LEFT_OUT}"] = None
            if family in caveats.PATHS_SCALE:
                found[f"{family} {caveats.PATHS_SCALE[family]}"] = None
    if any(answer.mixing == "causal" for answer in answers):
        found[caveats.STILL_LOOKS_AHEAD] = None
    return list(found)


def _wrapped(words: str, indent: str, first: str = "") -> list[str]:
    return textwrap.wrap(
        " ".join(words.split()), 100, initial_indent=first or indent, subsequent_indent=indent
    )
