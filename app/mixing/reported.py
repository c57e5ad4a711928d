"""What the Mixing tab shows as it is written into a report."""

from __future__ import annotations

from app.mixing.handlers import page
from app.mixing.request import Mixed
from app.places import Picture
from mambaout.evaluation.comparison_report import Report

_FILES = {"change": "difference_{side}_causal", "pathchange": "difference_{side}_paths"}


def report_of(mixed: Mixed | None) -> Report | None:
    """All answers, each compared with the bidirectional one; None before there are any."""
    if mixed is None:
        return None
    known = [subject for subject in mixed.subjects if subject.facts is not None]
    answers = [v.answered for subject in known for v in subject.variants.values()]
    pairs = [
        (subject.variants["bidirectional"].answered.id, variant.answered.id)
        for subject in known
        for kind, variant in subject.variants.items()
        if kind != "bidirectional" and "bidirectional" in subject.variants
    ]
    missing = {subject.side: subject.error for subject in mixed.subjects if subject.error}
    for subject in known:
        missing |= {f"{subject.side}_{k}": why for k, why in subject.why_not.items() if why}
    maps = {}
    for place, value in page(mixed).items():
        if isinstance(value, Picture):
            side, kind, _ = place.split("_")
            maps[_FILES.get(kind, "overlay_{side}_" + kind).format(side=side)] = value.image
    options = {
        "models": {subject.side: subject.name for subject in mixed.subjects},
        "method": "gradcam",
        "paths": {
            subject.side: list(subject.variants["paths"].answered.paths)
            for subject in known
            if "paths" in subject.variants
        },
    }
    device = next((subject.facts.device for subject in known if subject.facts), "")
    return Report(mixed.picture, options, device, answers, pairs, missing, maps)
