"""The study of trained pairs: plot, table, and what its numbers say, from the bundled cards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app import markup
from app.language import noted, tr
from app.markup import escaped
from app.numbers import change, count
from mambaout.evaluation.study_plot import plot
from mambaout.evaluation.study_table import below_differences, below_table, difference
from mambaout.evaluation.study_words import DIFFERENCES, HEADINGS, NOT_TRAINED

HEADING = noted("Trained, switched, trained causally")
HELP = noted(
    "The switch of this page makes a trained model causal without training it. How well would one "
    "do that was trained causally? Each bundled model was trained both ways, on the same pictures."
)
PLOT = noted("Plot of the study")
CHANGES = noted("Changes on the same pictures")
READING = noted(
    "Made causal by the switch, the same weights change by {switched}. Trained causally, the same "
    "networks differ by {trained}. So the effect of the switch is no measure of what causal mixing "
    "costs a network that was trained with it."
)
WITHIN_A_ROW = noted(
    "Compare within a row: from row to row, epochs and multiply-adds differ, and no recipe was "
    "tuned for its model."
)


def study_section(rows: Sequence[dict[str, Any]]) -> str:
    """Plot, table and reading; nothing where no cards of the study are at hand."""
    if not rows:
        return ""
    return (
        markup.section(tr(HEADING), tr(HELP))
        + '<figure class="mo-study" tabindex="0" role="region" '
        + f'aria-label="{escaped(tr(PLOT))}">{plot(rows, tr, styled=False)}</figure>'
        + "".join(f"<p>{escaped(words)}</p>" for words in reading(rows))
        + _table(rows)
        + f"<p>{escaped(below_table(rows, tr))}</p>"
        + _differences(rows)
        + f"<p>{escaped(below_differences(rows, tr))}</p>"
    )


def reading(rows: Sequence[dict[str, Any]]) -> list[str]:
    """What the numbers say, in sentences that claim no more."""
    pairs = [row for row in rows if row["trained"] and row["trained_causally"]]
    words = []
    if pairs:
        words.append(
            tr(
                READING,
                switched=_changes(pairs, "switched"),
                trained=_changes(pairs, "trained_causally"),
            )
        )
        measured = [
            row["differences"]["trained_causally"]["interval"]
            for row in pairs
            if row["differences"]["trained_causally"]
        ]
        words.append(
            tr(
                "Pairs in which the difference between the two trainings may be chance, because "
                "its interval contains 0: {chance} of {pairs}.",
                chance=sum(low <= 0 <= high for low, high in measured),
                pairs=len(measured),
            )
        )
    return [*words, tr(WITHIN_A_ROW)]


def _changes(pairs: Sequence[dict[str, Any]], name: str) -> str:
    """Each pair's change of accuracy, with its model's name."""
    return ", ".join(
        f"{change(row['trained']['top1'], row[name]['top1'])} ({row['model']})" for row in pairs
    )


def _table(rows: Sequence[dict[str, Any]]) -> str:
    titles = [tr("model"), tr("parameters"), tr("MACs"), tr("epochs"), *map(tr, HEADINGS.values())]
    cells = [
        [
            row["model"],
            count(row["params"]),
            count(row["macs"]),
            " + ".join(map(str, row["epochs"])),
            *(_accuracy(row[name]) for name in HEADINGS),
        ]
        for row in rows
    ]
    return _framed(tr(HEADING), titles, cells)


def _differences(rows: Sequence[dict[str, Any]]) -> str:
    titles = [tr("model"), *map(tr, DIFFERENCES.values())]
    cells = [[row["model"], *(difference(row, name, tr) for name in DIFFERENCES)] for row in rows]
    return _framed(tr(CHANGES), titles, cells)


def _framed(name: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    header = "".join(f'<th scope="col">{escaped(title)}</th>' for title in titles)
    return (
        '<div class="mo-table mo-accuracies" tabindex="0" role="region" '
        f'aria-label="{escaped(name)}"><table>'
        f"<thead><tr>{header}</tr></thead><tbody>{''.join(map(_row, rows))}</tbody></table></div>"
    )


def _row(cells: Sequence[str]) -> str:
    model, *others = cells
    return (
        f'<tr><th scope="row">{escaped(model)}</th>'
        f"{''.join(f'<td>{escaped(cell)}</td>' for cell in others)}</tr>"
    )


def _accuracy(measured: dict[str, Any] | None) -> str:
    if measured is None:
        return tr(NOT_TRAINED)
    low, high = (100 * bound for bound in measured["interval"])
    return f"{100 * measured['top1']:.1f} % ({low:.1f}–{high:.1f})"
