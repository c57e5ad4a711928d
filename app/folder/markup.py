"""HTML of the tab: what was counted, and a row for every picture."""

from __future__ import annotations

from app.folder import text
from app.folder.request import Answered
from app.language import told, tr
from app.markup import escaped
from app.numbers import percent
from mambaout.evaluation.models import View
from mambaout.evaluation.records import Record


def summary(answered: Answered) -> str:
    """Agreement and scores, in sentences."""
    counted = answered.evaluation.counted
    lines = [text.agreement(pair) for pair in counted.pairs if pair.count]
    if answered.evaluation.folder.classes:
        lines += [
            text.score(answered.titles[result.view.model], result.score)
            for result in counted.results
        ]
    if counted.damaged:
        lines.append(text.rejected(len(_unread(answered))))
    lines += answered.notes
    listed = "".join(f"<li>{escaped(line)}</li>" for line in lines)
    return f'<div class="mo-verdict mo-counted"><ul>{listed}</ul></div>' if listed else ""


def rows(answered: Answered, only_disagreements: bool) -> str:
    """A row for every picture answered so far; its name is a button that opens it."""
    views = [result.view for result in answered.evaluation.counted.results]
    titles = [answered.titles[view.model] for view in views]
    labelled = bool(answered.evaluation.folder.classes)
    head = [tr("picture"), *([tr("label")] if labelled else []), *titles]
    if len(views) > 1:
        head.append(tr("agreement"))
    records = answered.evaluation.records
    kept = [r for r in records if not only_disagreements or _disagree(answered, r)]
    header = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in head)
    body = "".join(_row(answered, record, views, labelled, len(head)) for record in kept)
    name = tr("Pictures and answers")
    return (
        f'<div class="mo-table mo-files" tabindex="0" role="region" aria-label="{escaped(name)}">'
        f"<table><caption>{escaped(text.shown(len(kept), len(records)))}</caption>"
        f"<thead><tr>{header}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _row(
    answered: Answered, record: Record, views: list[View], labelled: bool, columns: int
) -> str:
    if record.damaged:
        return (
            f'<tr class="mo-unread"><th scope="row"><bdi>{escaped(record.file)}</bdi></th>'
            f'<td colspan="{columns - 1}">{escaped(told(record.damaged))}</td></tr>'
        )
    picture = answered.evaluation.run.pictures[record.index]
    cells = [picture.classes[0] if picture.classes else "–"] if labelled else []
    keys = []
    for view in views:
        matching = answered.evaluation.run.matchings[view.model]
        answer = record.answers[str(view)]
        vocabulary = matching.classes.vocabulary
        first = answer.outputs[0]
        keys.append(vocabulary.keys[first])
        words = f"{vocabulary.labels[first]}, {percent(answer.confidences[0])}"
        targets = matching.targets(picture)
        if targets:
            right = any(first in outputs for outputs in targets.values())
            words += f" · {tr('right') if right else tr('wrong')}"
        cells.append(words)
    if len(views) > 1:
        cells.append(tr("agree") if len(set(keys)) == 1 else tr("disagree"))
    open_ = tr("Open {name} in Compare", name=record.file)
    button = (
        f'<button type="button" data-index="{record.index}" aria-label="{escaped(open_)}">'
        f"<bdi>{escaped(record.file)}</bdi></button>"
    )
    differs = ' class="mo-differs"' if len(set(keys)) > 1 else ""
    listed = "".join(f"<td>{escaped(cell)}</td>" for cell in cells)
    return f'<tr{differs}><th scope="row">{button}</th>{listed}</tr>'


def _disagree(answered: Answered, record: Record) -> bool:
    firsts = set()
    for result in answered.evaluation.counted.results:
        answer = record.answers.get(str(result.view))
        vocabulary = answered.evaluation.run.matchings[result.view.model].classes.vocabulary
        if answer is not None:
            firsts.add(vocabulary.keys[answer.outputs[0]])
    return len(firsts) > 1


def _unread(answered: Answered) -> list[Record]:
    return [record for record in answered.evaluation.records if record.damaged]
