"""What the tab shows, computed from what the visitor chose: values by the name of their place."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from app import map_markup
from app import text as page_text
from app.language import told, tr
from app.markup import SIDES, escaped, section
from app.mixing import markup, text
from app.mixing.request import Kind, Mixed, Stage, Subject, choose_paths, explain_class, mix
from app.places import Control, Picture, Values
from app.store import ModelStore
from mambaout import explain
from mambaout.catalogue.bundled import causal_twin, trained_mixing
from mambaout.evaluation import caveats
from mambaout.pictures.overlay import Scale, overlay

# Of each side, in the order they stand on the page.
PARTS = (
    "box", "head", "switched",
    "bidirectional_says", "bidirectional_heat", "bidirectional_caption",
    "causal_says", "causal_heat", "causal_caption",
    "change_says", "change_heat", "change_caption", "legend", "table",
    "paths_heading", "paths_choice", "paths_box",
    "paths_says", "paths_heat", "paths_caption",
    "pathchange_says", "pathchange_heat", "pathchange_caption", "pathtable",
    "trained_heading", "trained_box",
    "trained_says", "trained_heat", "trained_caption", "trainedchange_says", "trainedtable",
    "accuracies",
)  # fmt: skip
PLACES = ("status", "result", "heading", *(f"{side}_{part}" for side in SIDES for part in PARTS))

# The answers that are set beside the bidirectional one, and the places for what sets them apart.
_BESIDE: dict[Kind, tuple[str, str]] = {
    "causal": ("change", "table"),
    "paths": ("pathchange", "pathtable"),
}


@dataclass(frozen=True)
class Chosen:
    """What the visitor chose beside the tabs and on this one."""

    names: Mapping[str, str]  # of models, by side
    which: str  # "left", "right" or "both"
    paths: Mapping[str, Sequence[str]]  # that run alone, by side

    def asked(self) -> dict[str, str]:
        """The models to ask, by side; a model that is chosen twice is asked once."""
        if self.which in SIDES:
            return {self.which: self.names[self.which]}
        return {side: name for side, name in self.names.items()
                if side == SIDES[0] or name != self.names[SIDES[0]]}  # fmt: skip


def ask_mixings(
    store: ModelStore, picture: Image.Image | None, chosen: Chosen, notes: tuple[str, ...] = ()
) -> Iterator[Values]:
    """Ask the chosen models in all their mixings and fill the page step by step.

    `notes` is what there is to say about the picture itself, one sentence each.
    """
    if picture is None:
        yield {"status": escaped(tr(page_text.CHOOSE))}
        return
    stages = mix(store, picture, chosen.asked(), chosen.paths)
    if not all(map(store.holds, chosen.asked().values())):
        first, status = next(stages)  # what is shown would otherwise stand beside a download
        yield page(first) | {"status": escaped(status)}
    yield from _stages(stages, None, notes)


def paths_chosen(
    store: ModelStore, shown: Mixed | None, side: str, paths: Sequence[str]
) -> Iterator[Values]:
    """Show what some paths of one model answer alone."""
    if shown is not None:
        yield from _stages(choose_paths(store, shown, side, paths), shown)


def class_chosen(
    store: ModelStore, shown: Mixed | None, side: str, class_index: int
) -> Iterator[Values]:
    """Explain another class in all answers of one model."""
    if shown is not None:
        yield from _stages(explain_class(store, shown, side, class_index), shown)


def _stages(
    stages: Iterator[Stage], shown: Mixed | None, notes: tuple[str, ...] = ()
) -> Iterator[Values]:
    start = time.perf_counter()
    for mixed, status in stages:
        if status:
            yield _changed(shown, mixed) | {"status": escaped(status)}
            shown = mixed
        else:
            done = " ".join([page_text.done(time.perf_counter() - start), *notes])
            yield page(mixed) | {"status": escaped(done)}


def _changed(old: Mixed | None, new: Mixed) -> Values:
    """The places of the models about which the last step brought something.

    Paths can be chosen when all is there. Offered earlier, a choice would be lost to the next step.
    """
    values: Values = {}
    for subject in new.subjects:
        known = subject.facts is not None or subject.error
        if known and (old is None or subject is not old.subject(subject.side)):
            parts = _side(subject)
            if subject.known_paths:
                del parts["paths_choice"]
            values |= {f"{subject.side}_{part}": value for part, value in parts.items()}
    return values


def page(mixed: Mixed) -> Values:
    """Every place but the status line."""
    values: Values = {"result": mixed, "heading": section(tr(text.HEADING), tr(text.HELP))}
    for side in SIDES:
        subject = mixed.subject(side)
        values |= {f"{side}_{part}": value for part, value in _side(subject).items()}
    return values


def _side(subject: Subject | None) -> Values:
    """Everything about one model, by part; nothing of it where it was not asked."""
    values: Values = dict.fromkeys(PARTS, "")
    values |= {part: None for part in PARTS if part.endswith(("_heat", "_choice"))}
    values |= {part: False for part in PARTS if part.endswith("box")}
    if subject is None:
        return values
    values |= {"box": True, "head": markup.subject_head(subject)}
    if subject.facts is None:
        return values
    values["switched"] = markup.group(tr(text.SWITCHED), markup.switch_caveat(subject))
    for kind in ("bidirectional", "causal", "paths", "trained"):
        values[f"{kind}_says"] = markup.answer(subject, kind)
    for kind, (change, table) in _BESIDE.items():
        values[table] = markup.table(subject, kind)
        values[f"{change}_says"] = _change_head(subject, kind)
    return values | _paths(subject) | _trained(subject) | _maps(subject)


def _change_head(subject: Subject, kind: Kind) -> str:
    chips = markup.change(subject, kind)
    return (
        f'<div class="mo-variant"><h4>{escaped(tr(text.CHANGE))}</h4>{chips}</div>' if chips else ""
    )


def _paths(subject: Subject) -> Values:
    """The choice of paths, or why there is none."""
    if not subject.known_paths:
        words = text.no_paths(subject.why_not.get("paths", ""))
        return {"paths_heading": markup.group(tr(text.PATHS), words)}
    variant = subject.variants.get("paths")
    return {
        "paths_heading": markup.group(tr(text.PATHS), tr(caveats.PATHS_LEFT_OUT)),
        "paths_choice": Control(
            list(variant.answered.paths) if variant else [], subject.known_paths
        ),
        "paths_box": variant is not None,
    }


def _trained(subject: Subject) -> Values:
    """The model that was trained causally, apart from what the switch does."""
    values: Values = {"accuracies": markup.accuracies(subject)}
    there = "trained" in subject.variants or "trained" in subject.why_not
    if not there and causal_twin(subject.name):  # it answers last
        words = tr(text.TRAINED_HELP)
        return values | {"trained_heading": markup.group(tr(text.TRAINED), words)}
    if not there:
        own = trained_mixing(subject.name) == "causal"
        words = text.IS_TWIN if own else text.NO_TWIN
        return values | {"trained_heading": markup.group(tr(text.TRAINED), tr(words))}
    return values | {
        "trained_heading": markup.group(tr(text.TRAINED), tr(text.TRAINED_HELP)),
        "trained_box": True,
        "trainedchange_says": _change_head(subject, "trained"),
        "trainedtable": markup.table(subject, "trained"),
    }


def _maps(subject: Subject) -> Values:
    """All heat maps of one model on one scale, and what sets two of them apart on another."""
    heats: dict[Kind, explain.Explanation] = {
        kind: variant.answered.heat
        for kind, variant in subject.variants.items()
        if variant.answered.heat is not None
    }
    values: Values = {}
    if subject.facts is None or subject.seen is None or subject.explained is None:
        return values
    label = subject.facts.vocabulary.labels[subject.explained]
    scale = Scale.from_zero([heat.values for heat in heats.values()]) if heats else None
    for kind, variant in subject.variants.items():
        heat = heats.get(kind)
        if heat is None or scale is None:
            why = variant.answered.no_heat
            values[f"{kind}_caption"] = map_markup.instead(tr(page_text.NO_MAP), why) if why else ""
            continue
        where = page_text.strongest(heat.values)
        name = text.title(kind, trained_mixing(subject.name))
        values[f"{kind}_heat"] = Picture(
            overlay(subject.seen, heat.values, scale),
            text.heat_alt(subject.title, name, label, where),
        )
        words = [text.strongest_in(where)]
        if variant.answered.mixing == "causal":
            words.append(tr(caveats.STILL_LOOKS_AHEAD))
        values[f"{kind}_caption"] = map_markup.caption(words)
    if scale is not None:
        heat = next(iter(heats.values()))
        bar = map_markup.legend(scale, told(heat.unit), page_text.METHOD_TITLES[heat.method])
        values["legend"] = map_markup.caption([text.explains(label), told(heat.caveat)], bar)
    return values | _differences(subject, heats)


def _differences(subject: Subject, heats: Mapping[Kind, explain.Explanation]) -> Values:
    """Each switched map less the bidirectional one, all on one signed scale."""
    whole = heats.get("bidirectional")
    if whole is None or subject.seen is None:
        return {}
    changes = {kind: heats[kind].values - whole.values for kind in _BESIDE if kind in heats}
    if not changes:
        return {}
    scale = Scale.over([*changes.values()], signed=True)
    values: Values = {}
    for kind, change in changes.items():
        part = _BESIDE[kind][0]
        heading = text.difference_heading(text.short_title("bidirectional"), text.short_title(kind))
        words = _most(change)
        values[f"{part}_heat"] = Picture(
            overlay(subject.seen, change, scale), f"{heading}. {words}"
        )
        bar = map_markup.legend(scale, told(whole.unit), heading)
        values[f"{part}_caption"] = map_markup.caption([f"{heading}. {words}"], bar)
    return values


def _most(change: np.ndarray) -> str:
    """Where a difference is greatest, in both directions."""
    rise = page_text.strongest(change) if change.max() > 0 else ""
    fall = page_text.strongest(-change) if change.min() < 0 else ""
    return text.difference_words(rise, fall)
