"""The page's own pieces of HTML: constant tags around escaped words and numbers."""

from __future__ import annotations

import html
from collections.abc import Sequence

from app import text
from app.catalogues import LANGUAGES
from app.compare.result import Comparison, Facts, Side
from app.examples import Example
from app.language import language, tr
from app.numbers import count, duration, number
from mambaout.catalogue.bundled import trained_mixing
from mambaout.evaluation import caveats
from mambaout.evaluation.said import difference

SIDES = ("left", "right")
_MOST_LISTED = 1000  # class names; the largest vocabulary has 11,821


def escaped(words: str) -> str:
    """Words as HTML shows them; `$` too, because gradio's templates give it a meaning."""
    return html.escape(words).replace("$", "&#36;")


def head() -> str:
    paper = f'<a href="{text.PAPER_ADDRESS}" target="_blank" rel="noopener">{text.PAPER}</a>'
    after = escaped(tr(text.AFTER)).replace("{paper}", paper)
    return (
        f'<header class="mo-head">{_languages()}<h1>{escaped(text.TITLE)}</h1>'
        f"<p>{escaped(tr(text.TAGLINE))} {after}</p></header>"
    )


def _languages() -> str:
    """Links to the page in each of its languages, in their own words."""
    here = {language(): ' aria-current="true"'}
    links = "".join(
        f'<li><a href="?lang={tag}" lang="{tag}" hreflang="{tag}"{here.get(tag, "")}>'
        f"{escaped(name)}</a></li>"
        for tag, name in LANGUAGES.items()
    )
    return (
        f'<nav class="mo-languages" aria-label="{escaped(tr("Language"))}"><ul>{links}</ul></nav>'
    )


def thumbnails(examples: Sequence[Example]) -> str:
    """Buttons to choose an example picture with."""
    buttons = "".join(
        f'<li><button type="button" data-index="{index}">'
        f'<img src="{example.thumbnail()}" alt=""><span>{escaped(tr(example.label))}</span>'
        "</button></li>"
        for index, example in enumerate(examples)
    )
    return f'<p class="mo-try">{escaped(tr(text.TRY))}</p><ul class="mo-thumbs">{buttons}</ul>'


# One listener on the root: what is inside is drawn anew whenever a value changes.
THUMBNAILS_SCRIPT = """
const picked = {}; // one object for all, as in PICK_SCRIPT
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-index]');
  if (!button) return;
  const index = Number(button.dataset.index);
  if (window.mambaoutLink) window.mambaoutLink.example = index;
  picked.index = index;
  trigger('select', picked);
});
"""


def section(heading: str, help_text: str) -> str:
    return f'<div class="mo-section"><h2>{escaped(heading)}</h2><p>{escaped(help_text)}</p></div>'


def note(words: str, kind: str = "plain") -> str:
    """A sentence in a box; `kind` is "plain", "caution" or "reason"."""
    return f'<p class="mo-note mo-{kind}">{escaped(words)}</p>' if words else ""


def verdict(comparison: Comparison) -> str:
    """Whether the two agree, in one sentence and three numbers."""
    left, right = comparison.sides
    if left.answer is None or right.answer is None:
        missing = [side for side in comparison.sides if side.error]
        words = text.only_one([side.title for side in missing]) if missing else tr(text.WORKING)
        return f'<div class="mo-verdict"><p class="mo-says">{escaped(words)}</p></div>'
    found = difference(left.answer, right.answer)
    labels = [answer.vocabulary.labels[answer.top] for answer in (left.answer, right.answer)]
    sentence = text.verdict((left.title, right.title), labels, found.same_top)
    chips = [
        chip(tr("Agree"), "good") if found.same_top else chip(tr("Disagree"), "bad"),
        chip(tr("{count} of 5 in both top fives", count=found.common)),
    ]
    if found.kl is not None:
        chips.append(chip(tr("KL divergence {value} nats", value=number(found.kl))))
    else:
        sizes = (len(answer.vocabulary) for answer in (left.answer, right.answer))
        chips.append(chip(text.different_classes(*sizes)))
    causal = comparison.mixing == "causal"
    chips.append(chip(tr("Causal mixing"), "mix") if causal else chip(tr("Bidirectional mixing")))
    return (
        f'<div class="mo-verdict"><p class="mo-says">{escaped(sentence)}</p>'
        f'<p class="mo-chips">{"".join(chips)}</p></div>'
    )


def chip(words: str, kind: str = "") -> str:
    return f'<span class="mo-chip {f"mo-{kind}" if kind else ""}">{escaped(words)}</span>'


def causal_caution(comparison: Comparison) -> str:
    """What the causal switch shows and what it does not, beside the result it changed."""
    cards = [side.facts.card for side in comparison.sides if side.facts]
    # by name: both sides may show the same model
    causal = {card.title for card in cards if trained_mixing(card.name) == "causal"}
    cut = {card.family for card in cards if trained_mixing(card.name) == "bidirectional"}
    if comparison.mixing == "bidirectional":
        opened = "".join(
            f"<li><b>{escaped(title)}</b> {escaped(tr(caveats.OPENED_NOT_RETRAINED))}</li>"
            for title in sorted(causal)
        )
        return _caution("", opened) if opened else ""
    items = [
        (family, tr(caveats.CAUSAL_FORM[family])) for family in sorted(cut & {*caveats.CAUSAL_FORM})
    ]
    items += [(title, tr(caveats.TRAINED_CAUSALLY)) for title in sorted(causal)]
    listed = "".join(f"<li><b>{escaped(who)}</b> {escaped(what)}</li>" for who, what in items)
    heading = escaped(tr("Causal, not retrained."))
    caution = escaped(f"{tr(caveats.NOT_RETRAINED)} {tr(caveats.CONFIDENCE)}")
    warning = f"<p><b>{heading}</b> {caution}</p>" if cut else ""
    return _caution(warning, f"{listed}<li>{escaped(tr(caveats.STILL_LOOKS_AHEAD))}</li>")


def _caution(paragraph: str, items: str) -> str:
    return f'<div class="mo-note mo-caution" role="note">{paragraph}<ul>{items}</ul></div>'


def card_head(side: Side, index: int) -> str:
    """Who answers: name, mixer, and a reason where there is no answer."""
    facts = side.facts
    badge, mixer = "", ""
    if facts is not None:
        badge = chip(tr("selective scan") if facts.card.has_scan else tr("no scan"))
        mixer = f'<p class="mo-mixer">{escaped(tr(facts.card.mixer))}</p>'
    reason = note(text.sentence(side.error), "reason")
    if side.answer is not None and side.answer.hint is not None:
        reason += note(text.unsure(side.answer.hint), "caution")
    return (
        f'<div class="mo-who"><h2><span class="mo-dot mo-{SIDES[index]}" aria-hidden="true"></span>'
        f"{escaped(side.title)}</h2>{badge}</div>{mixer}{reason}"
    )


def card_facts(side: Side) -> str:
    """Size, cost and time of a model, and what it can say."""
    facts, answer = side.facts, side.answer
    if facts is None or answer is None:
        return ""
    numbers = [
        (duration(answer.seconds), tr("forward, {device}", device=facts.device.upper())),
        (count(facts.card.params), tr("parameters")),
        (count(facts.macs), "MACs"),
        (f"{facts.side}²", tr("pixels in")),
    ]
    tiles = "".join(
        f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for value, name in numbers
    )
    return f'<dl class="mo-stats">{tiles}</dl>{_knows(facts)}'


def _knows(facts: Facts) -> str:
    labels = facts.vocabulary.labels
    listed = "".join(f"<li>{escaped(label)}</li>" for label in labels[:_MOST_LISTED])
    rest = len(labels) - _MOST_LISTED
    more = f"<p>{escaped(tr('and {count} more', count=f'{rest:,}'))}</p>" if rest > 0 else ""
    return (
        f'<p class="mo-knows">{escaped(text.knows(facts.card))} '
        f"{escaped(text.tensors(facts.tensors))} {escaped(text.precision(facts.precision))}</p>"
        f'<details class="mo-list"><summary>{escaped(tr("What it can say"))}</summary>'
        f'<ul tabindex="0" aria-label="{escaped(tr("What it can say"))}">{listed}</ul>{more}'
        "</details>"
    )


def heat_heading(comparison: Comparison | None) -> str:
    """The heading of the heat maps, with the classes they are for."""
    words = tr(text.HEAT_HELP)
    explained = [
        side.facts.vocabulary.labels[side.explained]
        for side in (comparison.sides if comparison else ())
        if side.facts is not None and side.explained is not None
    ]
    if comparison is not None and explained:
        words = f"{text.explained_now(explained, comparison.chosen_label)} {words}"
    return section(tr(text.HEAT_HEADING), words)


def scan_heading(quantity: str | None = None) -> str:
    """The heading of the scan's maps, with what the chosen quantity means."""
    help_text = tr(text.SCAN_HELP)
    if quantity is not None:
        help_text += f" {tr(text.QUANTITIES[quantity])}: {tr(text.QUANTITY_HELP[quantity])}"
    return section(tr(text.SCAN_HEADING), help_text)
