"""HTML of the tab: tables and charts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from app.chart import Line, Mark, chart
from app.language import tr
from app.long import text
from app.long.request import Curve, Judged
from app.markup import escaped
from app.numbers import duration, megabytes, number
from mambaout.evaluation.growth import MODELS, Point
from mambaout.evaluation.published_tables import Cell, PublishedTable
from mambaout.evaluation.sequence import is_long, threshold

_KINDS = dict(zip(MODELS, ("left", "right", "third"), strict=True))


def verdict(title: str, judged: Judged) -> str:
    words = text.judgement(title, judged.length, judged.channels)
    return f'<div class="mo-verdict"><p class="mo-says">{escaped(words)}</p></div>'


def stage_table(judged: Judged) -> str:
    """Every stage: its grid, its width, and whether its sequence is long."""
    head = (
        tr("stage"),
        tr("pixels per token"),
        tr("tokens L"),
        tr("channels D"),
        tr("τ = 6 D"),
        tr("L / τ"),
        tr("sequence"),
    )
    rows = [
        (
            str(number_),
            str(stage.stride),
            f"{length:,}",
            f"{stage.channels:,}",
            f"{threshold(stage.channels):,}",
            number(length / threshold(stage.channels)),
            tr("long") if is_long(length, stage.channels) else tr("short"),
        )
        for number_, (stage, length) in enumerate(
            zip(judged.stages, judged.lengths, strict=True), start=1
        )
    ]
    return _table(tr("Tokens and channels, stage by stage"), head, rows) + _small(text.task_note())


def operations_chart(judged: Judged, curves: Mapping[str, Curve]) -> str:
    """What mixing costs against the number of tokens."""
    names = text.line_names()
    kinds = {"attention": "third", "rest": "rest", "scan": "right", "conv": "left"}
    lines = [Line(names[name], points, kinds[name]) for name, points in curves.items()]
    marks = [
        Mark(judged.length, tr("this picture")),
        Mark(threshold(judged.channels), tr("τ = 6 D")),
    ]
    alt = text.operations_alt(judged.length, judged.channels)
    drawn = chart(lines, tr("tokens"), tr("operations"), alt, text.operations, marks)
    return drawn + _small(text.operations_note(judged.channels))


def growth_charts(points: Sequence[Point]) -> str:
    """Time and memory against tokens: two charts and one table."""
    if not points:
        return _small(tr(text.NOT_YET))
    times = {p: p.seconds for p in points}
    peaks = {p: float(p.peak_bytes) for p in points if p.peak_bytes is not None}
    charts = _figure(tr("Time of one picture"), times, duration) + _figure(
        tr("Peak memory beside the model itself"), peaks, lambda size: megabytes(int(size))
    )
    return f'<div class="mo-charts">{charts}</div>{_growth_table(points)}'


def _figure(what: str, values: Mapping[Point, float], written: Callable[[float], str]) -> str:
    lines = [
        Line(
            text.SHORT_NAMES[model],
            [(p.tokens, value) for p, value in values.items() if p.model == model],
            _KINDS[model],
            dots=True,
        )
        for model in MODELS
    ]
    drawn = chart(lines, tr("tokens"), "", text.growth_alt(what, len(values)), written)
    return f"<figure><figcaption>{escaped(what)}</figcaption>{drawn}</figure>" if drawn else ""


def _growth_table(points: Sequence[Point]) -> str:
    sides = sorted({(p.side, p.tokens) for p in points})
    head = [tr("pixels"), tr("tokens")]
    for model in MODELS:
        name = text.SHORT_NAMES[model]
        head += [tr("{model}, time", model=name), tr("{model}, memory", model=name)]
    found = {(p.model, p.side): p for p in points}
    rows = []
    for side, length in sides:
        row = [f"{side}²", f"{length:,}"]
        for model in MODELS:
            point = found.get((model, side))
            row += ["…", "…"] if point is None else [text.time_of(point), text.memory_of(point)]
        rows.append(row)
    return _table(tr("All measured points"), head, rows)


def published(table: PublishedTable) -> str:
    """A table of the paper that its column headings sort."""
    columns = ["model", "mixing", *table.columns, "source"]
    head = "".join(
        f'<th scope="col"><button type="button" data-column="{index}">'
        f"{escaped(tr(text.COLUMN_NAMES[column]))}</button></th>"
        for index, column in enumerate(columns)
    )
    rows = "".join(_published_row(row, columns) for row in table.rows)
    name = tr("Table {number} of the paper", number=table.number)
    return (
        f'<div class="mo-table mo-sorted" tabindex="0" role="region" aria-label="{escaped(name)}">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _published_row(row: Mapping[str, Cell], columns: Sequence[str]) -> str:
    ours = ' class="mo-ours"' if str(row["model"]).startswith("MambaOut") else ""
    cells = [
        f'<th scope="row">{escaped(str(row[column]))}</th>' if column == "model"
        else f"<td>{escaped('–' if row[column] is None else str(row[column]))}</td>"
        for column in columns
    ]  # fmt: skip
    return f"<tr{ours}>{''.join(cells)}</tr>"


def _table(name: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    header = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{escaped(row[0])}</th>'
        f"{''.join(f'<td>{escaped(cell)}</td>' for cell in row[1:])}</tr>"
        for row in rows
    )
    return (
        f'<div class="mo-table mo-numbers" tabindex="0" role="region" aria-label="{escaped(name)}">'
        f"<table><thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _small(words: str) -> str:
    return f'<div class="mo-caption"><p>{escaped(words)}</p></div>'
