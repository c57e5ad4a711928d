"""What was found, as text to read in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mambaout.evaluation.accuracy import Result, Score
from mambaout.evaluation.interval import wilson_interval
from mambaout.evaluation.models import View
from mambaout.evaluation.report import Evaluation

_LISTED = 10
_ALL_CLASSES = 40


def as_text(evaluation: Evaluation) -> str:
    """Accuracy, agreement, classes, disagreements and damaged pictures, each in its paragraph."""
    paragraphs = [
        _data(evaluation),
        _accuracy(evaluation),
        _agreement(evaluation),
        _classes(evaluation),
        _disagreements(evaluation),
        _damaged(evaluation),
    ]
    return "\n\n".join("\n".join(lines) for lines in map(list, paragraphs) if lines) + "\n"


def _data(evaluation: Evaluation) -> Iterator[str]:
    folder, run = evaluation.folder, evaluation.run
    yield (
        f"{folder.name} ({folder.layout}): {len(run.pictures):,} of {len(folder.pictures):,} "
        f"pictures evaluated, {len(folder.classes):,} classes"
    )
    for matching in run.matchings.values():
        left_out, has = matching.left_out, len(matching.outputs)
        if left_out:
            names = ", ".join(map(evaluation.class_label, left_out[:5]))
            more = f" and {len(left_out) - 5:,} more" if len(left_out) > 5 else ""
            yield (
                f"{matching.classes.model} knows {has:,} of these classes and is scored on their "
                f"pictures alone; left out: {names}{more}"
            )


def _accuracy(evaluation: Evaluation) -> Iterator[str]:
    head = ["", "model", "mixing", "pictures", "top-1 %", "95 %", "top-5 %", "95 %"]
    rows = [
        [
            f"({number})",
            *result.view,
            f"{result.score.count:,}",
            *_share(result.score.top1, result.score.count),
            *_share(result.score.top5, result.score.count),
        ]
        for number, result in enumerate(evaluation.counted.results, start=1)
    ]
    yield from _table([head, *rows], left=3)
    for model in evaluation.run.models:
        for mixing, reason in model.no_form.items():
            yield f"{model.name} has no {mixing} form: {reason}"


def _agreement(evaluation: Evaluation) -> Iterator[str]:
    """Of the pictures that both answered, how many they gave the same first answer, in percent."""
    views = [result.view for result in evaluation.counted.results]
    if len(views) < 2:
        return
    same: dict[tuple[View, View], str] = {}
    for pair in evaluation.counted.pairs:
        cell = f"{100 * pair.same_answer / pair.count:.1f}" if pair.count else "-"
        same[pair.first, pair.second] = same[pair.second, pair.first] = cell
    yield "Same first answer, % of the pictures that both were asked about:"
    numbers = [f"({number})" for number in range(1, len(views) + 1)]
    head = ["", *numbers]
    yield from _table(
        [head]
        + [
            [number, *(same.get((view, other), "") for other in views)]
            for number, view in zip(numbers, views, strict=True)
        ],
        left=1,
    )


def _classes(evaluation: Evaluation) -> Iterator[str]:
    """Top-1 by class: all of a few classes, else those on which the views differ most."""
    results = evaluation.counted.results
    rows = {
        name: [_score_of(result, name) for result in results] for name in evaluation.folder.classes
    }
    rows = {name: scores for name, scores in rows.items() if any(s.count for s in scores)}
    shown = list(rows)
    yield "Top-1 % by class:"
    if len(rows) > _ALL_CLASSES:
        shown = sorted(rows, key=lambda name: (-_spread(rows[name]), name))[:_LISTED]
        yield f"(the {_LISTED} of {len(rows):,} on which answers differ most; --json has all)"
    numbers = [f"({number})" for number in range(1, len(results) + 1)]
    yield from _table(
        [["class", "pictures", *numbers]]
        + [
            [
                evaluation.class_label(name),
                f"{max(score.count for score in rows[name]):,}",
                *(_percent(score) for score in rows[name]),
            ]
            for name in shown
        ],
        left=1,
    )


def _disagreements(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.counted.disagreements
    if not found:
        return
    surest = sorted(found, key=lambda each: (-each.strength, each.picture.name))[:_LISTED]
    yield f"Different first answers to {len(found):,} pictures; where they are given most surely:"
    for each in surest:
        truth = ", ".join(map(evaluation.class_label, each.picture.classes))
        yield f"{each.picture.name}  ({truth})"
        for said in each.said:
            mark = "+" if said.right else "-"
            yield f"  {mark} {said.label}, {100 * said.confidence:.0f} %: {said.view}"


def _damaged(evaluation: Evaluation) -> Iterator[str]:
    damaged = evaluation.counted.damaged
    if not damaged:
        return
    yield f"Damaged, and not counted: {len(damaged):,}"
    for file, reason in list(damaged.items())[:_LISTED]:
        yield f"  {file}: {reason}"
    if len(damaged) > _LISTED:
        yield f"  and {len(damaged) - _LISTED:,} more; --json has all"


def _score_of(result: Result, name: str) -> Score:
    return result.classes.get(name, Score())


def _spread(scores: Sequence[Score]) -> float:
    shares = [score.top1 / score.count for score in scores if score.count]
    return max(shares) - min(shares)


def _percent(score: Score) -> str:
    return f"{100 * score.top1 / score.count:.1f}" if score.count else "-"


def _share(hits: int, count: int) -> list[str]:
    """Percent and interval."""
    if not count:
        return ["-", "-"]
    low, high = (100 * end for end in wilson_interval(hits, count))
    return [f"{100 * hits / count:.2f}", f"{low:.1f} – {high:.1f}"]


def _table(rows: Sequence[Sequence[str]], left: int) -> Iterator[str]:
    """Lines of cells under each other; the first ``left`` columns begin, the others end alike."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(
            cell.ljust(width) if place < left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
