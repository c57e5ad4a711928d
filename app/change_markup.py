"""What a change does to the probabilities of an answer, as a badge and a table of bars."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from app import text
from app.compare.result import Side
from app.language import tr
from app.markup import chip, escaped, note
from app.numbers import change, percent
from mambaout.catalogue.vocabulary import Vocabulary

# Where all changes are small their bars are short: the longest one is not stretched to the full.
_LEAST_REACH = 0.2


def card_change(side: Side) -> str:
    """What the causal switch did to an answer, on the same weights."""
    answer = side.answer
    if side.facts is None or answer is None:
        return ""
    if answer.no_causal_form is not None:
        return note(text.stays_bidirectional(answer.no_causal_form), "reason")
    if answer.bidirectional is None:
        return ""
    before, after = answer.bidirectional, answer.probabilities
    was, now = int(before.argmax()), answer.top
    shown = dict.fromkeys([was, now, *np.argsort(-np.abs(after - before), kind="stable")[:3]])
    table = change_table(
        tr("Same weights, two mixings"),
        # A soft hyphen, where the column is narrow.
        (tr("bidirec\u00adtional"), tr("causal")),
        answer.vocabulary,
        (before, after),
        list(shown)[:4],
    )
    measured = ""
    if side.facts.measured is not None:
        words = text.measured(
            side.facts.measured.pictures,
            side.facts.measured.bidirectional,
            side.facts.measured.causal,
        )
        measured = f'<p class="mo-measured">{escaped(words)}</p>'
    badge = flip_badge(answer.vocabulary, was, now)
    return f'<div class="mo-change"><p>{badge}</p>{table}{measured}</div>'


def flip_badge(vocabulary: Vocabulary, was: int, now: int) -> str:
    """Whether the first answer is another one now."""
    before, after = vocabulary.labels[was], vocabulary.labels[now]
    if was == now:
        return chip(tr("Top class kept: {label}", label=after), "good")
    return chip(tr("Flipped: {before} → {after}", before=before, after=after), "bad")


def change_table(
    caption: str,
    columns: tuple[str, str],
    vocabulary: Vocabulary,
    probabilities: tuple[np.ndarray, np.ndarray],
    shown: Iterable[int],
    *,
    pick: bool = False,
) -> str:
    """Probabilities before and after, and their difference in points, class by class.

    Args:
        caption: of the table.
        columns: what the two columns of probabilities are called.
        vocabulary: the classes of both.
        probabilities: (classes,) before and after.
        shown: the classes to show, in this order.
        pick: classes are buttons that say their number to a listener on the root (`PICK_SCRIPT`).
    """
    before, after = probabilities
    shown = list(shown)
    reach = max([_LEAST_REACH, *(abs(float(after[i] - before[i])) for i in shown)])
    heads = "".join(
        f'<th scope="col">{escaped(words)}</th>' for words in (tr("class"), *columns, tr("change"))
    )
    rows = "".join(
        "<tr>"
        f'<th scope="row">{_class(vocabulary.labels[i], i, pick=pick)}</th>'
        f"<td>{escaped(percent(before[i]))}</td><td>{escaped(percent(after[i]))}</td>"
        f"<td>{_bar(float(after[i] - before[i]) / reach)}"
        f"{escaped(change(before[i], after[i]))}</td></tr>"
        for i in shown
    )
    return (
        f"<table><caption>{escaped(caption)}</caption>"
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    )


# One listener on the root: what is inside is drawn anew whenever a value changes.
# What is picked while an answer is on its way waits, and gradio 6.31 then asks with the data of the
# pick before it. There is one object for all picks, so that it holds the last one by then.
PICK_SCRIPT = """
const picked = {};
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-class]');
  if (!button) return;
  picked.index = Number(button.dataset.class);
  trigger('select', picked);
});
"""


def _class(label: str, index: int, *, pick: bool) -> str:
    if not pick:
        return escaped(label)
    return f'<button type="button" data-class="{index}">{escaped(label)}</button>'


def _bar(change: float) -> str:
    """A bar to the right for a rise, to the left for a fall; the number beside it says the same.

    `change` is -1 to 1; at its ends the bar is as long as it can be.
    """
    width = round(50 * abs(change), 1)
    side = "up" if change >= 0 else "down"
    return (
        f'<span class="mo-bar" aria-hidden="true"><i class="mo-{side}" style="width:{width}%"></i>'
        "</span>"
    )
