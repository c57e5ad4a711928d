"""The tab's pieces of HTML: constant tags around escaped words and numbers."""

from __future__ import annotations

from itertools import starmap

from app.change_markup import change_table, flip_badge
from app.language import tr
from app.markup import chip, escaped, note
from app.mixing import text
from app.mixing.causal_form import causal_form
from app.mixing.request import Kind, Subject, Variant
from app.numbers import percent
from app.text import sentence
from mambaout.catalogue.bundled import trained_mixing
from mambaout.evaluation import caveats
from mambaout.evaluation.interval import wilson_interval
from mambaout.evaluation.said import difference


def subject_head(subject: Subject) -> str:
    """Which model it is, and why there is no answer where there is none."""
    mixer = ""
    if subject.facts is not None:
        mixer = f'<p class="mo-mixer">{escaped(tr(subject.facts.card.mixer))}</p>'
    return (
        f'<div class="mo-who"><h2><span class="mo-dot mo-{subject.side}" aria-hidden="true"></span>'
        f"{escaped(subject.title)}</h2></div>{mixer}{note(sentence(subject.error), 'reason')}"
    )


def group(heading: str, words: str) -> str:
    """The heading of answers that belong together, with what holds for all of them."""
    return f'<div class="mo-group"><h3>{escaped(heading)}</h3><p>{escaped(words)}</p></div>'


def switch_caveat(subject: Subject) -> str:
    """What the switch shows and what it does not."""
    if trained_mixing(subject.name) == "causal":
        return f"{subject.title} {tr(caveats.OPENED_NOT_RETRAINED)}"
    return tr(caveats.NOT_RETRAINED)


def answer(subject: Subject, kind: Kind) -> str:
    """One answer: what it is of, its five best classes, the time it took."""
    variant = subject.variants.get(kind)
    name = text.title(kind, trained_mixing(subject.name))
    if variant is None:
        reason = subject.why_not.get(kind, "")
        words = text.no_causal_form(reason) if kind == "causal" and reason else sentence(reason)
        return _card(name, note(words, "reason")) if reason else ""
    about = "".join(f'<p class="mo-mixer">{escaped(words)}</p>' for words in _about(variant, kind))
    time = escaped(text.forward(variant.seconds, variant.facts.device))
    return _card(name, f'{about}{_five(variant, name)}<p class="mo-measured">{time}</p>')


def _card(name: str, content: str) -> str:
    return f'<div class="mo-variant"><h4>{escaped(name)}</h4>{content}</div>'


def _about(variant: Variant, kind: Kind) -> list[str]:
    """What this answer's tokens may see, and on which scale."""
    family, mixing = variant.facts.card.family, variant.answered.mixing
    if kind == "paths":
        scale = caveats.PATHS_SCALE.get(family)
        words = [text.only_paths(variant.answered.paths)]
        return words + ([f"{family} {tr(scale)}"] if scale else [])
    if mixing == "bidirectional":
        return [tr(text.ALL_SEE_ALL)]
    return causal_form(variant.facts.card)


def _five(variant: Variant, name: str) -> str:
    said = variant.answered.said
    items = "".join(
        f"<li><span>{escaped(said.vocabulary.labels[i])}</span>"
        f"<b>{escaped(percent(said.probabilities[i]))}</b>"
        f'<i aria-hidden="true" style="width:{100 * said.probabilities[i]:.1f}%"></i></li>'
        for i in said.best()
    )
    return f'<ol class="mo-five" aria-label="{escaped(text.top_five(name))}">{items}</ol>'


def change(subject: Subject, kind: Kind) -> str:
    """How far an answer is from the bidirectional one: flip, divergences, common classes."""
    before, after = subject.variants.get("bidirectional"), subject.variants.get(kind)
    if before is None or after is None:
        return ""
    first, second = before.answered.said, after.answered.said
    found = difference(first, second)
    chips = [flip_badge(first.vocabulary, first.top, second.top), chip(text.common(found.common))]
    if found.kl is not None and found.js is not None:
        chips += starmap(
            lambda name, value: chip(text.divergence(name, value)),
            (("KL", found.kl), ("JS", found.js)),
        )
    return f'<p class="mo-chips">{"".join(chips)}</p>'


def table(subject: Subject, kind: Kind) -> str:
    """The change of every probability that is in either top five, in points."""
    before, after = subject.variants.get("bidirectional"), subject.variants.get(kind)
    if before is None or after is None:
        return ""
    first, second = before.answered.said, after.answered.said
    names = (text.short_title("bidirectional"), text.short_title(kind))
    rows = change_table(
        text.table_caption(*names),
        names,
        first.vocabulary,
        (first.probabilities, second.probabilities),
        dict.fromkeys([*first.best(), *second.best()]),
        pick=True,
    )
    confidence = escaped(tr(caveats.CONFIDENCE))
    return f'<div class="mo-change">{rows}<p class="mo-measured">{confidence}</p></div>'


def accuracies(subject: Subject) -> str:
    """How often these weights and those of the twin are right, in every mixing measured."""
    rows = []
    pictures = 0
    twin = subject.variants.get("trained")
    for facts in (subject.facts, twin.facts if twin else None):
        if facts is None or facts.measured is None:
            continue
        pictures = facts.measured.pictures
        trained = trained_mixing(facts.card.name)
        for kind, right in (
            ("bidirectional", facts.measured.bidirectional),
            ("causal", facts.measured.causal),
        ):
            low, high = wilson_interval(round(right * pictures), pictures)
            cells = (text.title(kind, trained), text.share(right, low, high))
            rows.append(
                f'<tr><th scope="row">{escaped(facts.card.title)}</th>'
                f"{''.join(f'<td>{escaped(cell)}</td>' for cell in cells)}</tr>"
            )
    if not rows:
        return ""
    heads = "".join(
        f'<th scope="col">{escaped(name)}</th>'
        for name in (tr("weights"), tr("mixing"), tr("right answers"))
    )
    return (
        f'<div class="mo-change"><table><caption>{escaped(text.of_pictures(pictures))}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )
