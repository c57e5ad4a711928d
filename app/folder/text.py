"""The words of the tab."""

from __future__ import annotations

from collections.abc import Sequence

from app.language import label, noted, ntr, told, tr
from app.numbers import duration, percent
from mambaout.evaluation.accuracy import Pair, Score
from mambaout.evaluation.interval import wilson_interval

TAB = noted("Folder")
PICTURES = label("Pictures, up to 200")
LABELS = label("Labels, a CSV file (optional)")
START = label("Ask both models")
ONLY = label("Only disagreements")
CSV = label("Download CSV")
JSON = label("Download JSON")

HEADING = noted("Many pictures at once")
HELP = noted(
    "Drop pictures here: both models are asked about each of them, in the token mixing chosen "
    "beside. With a CSV file of two columns, file name and label, their answers are scored too. A "
    "label is a class name or its WordNet number. Select a picture to open it in Compare."
)
CHOOSE = noted("Choose some pictures to begin.")
WORKING = noted("Working …")
UNKNOWN_ROW = noted("This picture is not in the list any more: please choose the pictures again.")


def too_many(most: int, count: int) -> str:
    return tr(
        "At most {most} pictures at once, and {count} were chosen: please choose fewer.",
        most=most,
        count=count,
    )


def labels_too_large(most: int) -> str:
    return tr("The labels have more than {size} kB: please leave some out.", size=most // 1024)


def labels_no_text() -> str:
    return tr("The labels are no table of text: please save them as CSV in UTF-8.")


def labels_line(number: int, words: str) -> str:
    """What is wrong with a row of the labels."""
    return tr(
        "Line {number} of the labels has one column, “{words}”, and two are expected: file name "
        "and label.",
        number=number,
        words=words,
    )


def unknown_labels(title: str, labels: Sequence[str]) -> str:
    """Which labels a model does not have."""
    listed = ", ".join(labels[:5]) + (" …" if len(labels) > 5 else "")
    return tr(
        "{title} has no class called: {labels}. Their pictures are not scored for it.",
        title=title,
        labels=listed,
    )


def no_answer(title: str, reason: str) -> str:
    return tr("{title} is left out: {reason}", title=title, reason=told(reason))


def stays(title: str, reason: str) -> str:
    return tr("{title} stays bidirectional: {reason}", title=title, reason=told(reason))


def progress(done: int, total: int, left: float) -> str:
    """A status line while pictures are answered."""
    return tr(
        "{done} of {total} pictures, about {left} left",
        done=done,
        total=total,
        left=duration(left),
    )


def done(count: int, seconds: float) -> str:
    return ntr(
        "{count} picture answered in {time}.",
        "{count} pictures answered in {time}.",
        count,
        time=duration(seconds),
    )


def rejected(count: int) -> str:
    """How many files were no pictures."""
    return ntr(
        "{count} file could not be read; its row says why.",
        "{count} files could not be read; their rows say why.",
        count,
    )


def agreement(pair: Pair) -> str:
    """How often both say the same, with its interval."""
    low, high = wilson_interval(pair.same_answer, pair.count)
    return tr(
        "Same first answer to {same} of {count} pictures: {share} (95 % interval {low} to {high}).",
        same=pair.same_answer,
        count=pair.count,
        share=percent(pair.same_answer / pair.count),
        low=percent(low),
        high=percent(high),
    )


def score(title: str, counted: Score) -> str:
    """How often a model is right, with intervals."""
    if not counted.count:
        return tr("{title}: no picture has a label that it knows.", title=title)
    ends = [
        percent(end)
        for hits in (counted.top1, counted.top5)
        for end in wilson_interval(hits, counted.count)
    ]
    return tr(
        "{title}, {count} pictures with a label: first answer right for {top1} (95 % interval "
        "{low1} to {high1}), one of the first five for {top5} ({low5} to {high5}).",
        title=title,
        count=counted.count,
        top1=percent(counted.top1 / counted.count),
        low1=ends[0],
        high1=ends[1],
        top5=percent(counted.top5 / counted.count),
        low5=ends[2],
        high5=ends[3],
    )


def shown(count: int, total: int) -> str:
    """Caption of the table."""
    return tr("{count} of {total} rows", count=count, total=total)
