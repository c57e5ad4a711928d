"""The table of what the tests of both heat maps gave."""

from __future__ import annotations

import math

from app import markup, text
from app.compare import trust_text
from app.compare.result import Comparison, Side, Trust
from app.compare.trust import tested
from app.language import tr
from app.markup import escaped
from mambaout import explain


def trust(comparison: Comparison) -> str:
    """Both sides' tests; nothing as long as none was run."""
    if not any(tested(side) for side in comparison.sides):
        return ""
    header = "".join(f'<th scope="col">{escaped(side.title)}</th>' for side in comparison.sides)
    rows = "".join(
        f'<tr><th scope="row">{escaped(tr(name))} <small>{escaped(tr(meaning))}</small></th>'
        f"{''.join(f'<td>{escaped(_value(side, row))}</td>' for side in comparison.sides)}</tr>"
        for row, (name, meaning) in trust_text.ROWS.items()
    )
    reasons = "".join(
        markup.note(text.sentence(reason), "reason")
        for side in comparison.sides
        for reason in _reasons(side)
    )
    return (
        f"{markup.section(tr(trust_text.HEADING), tr(trust_text.HELP))}"
        f'<div class="mo-change"><table><caption>{escaped(tr(trust_text.CAPTION))}</caption>'
        f'<thead><tr><th scope="col">{escaped(tr(trust_text.TEST))}</th>{header}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{reasons}"
    )


def agreement_note(comparison: Comparison) -> str:
    """How alike the two heat maps are, where there are two."""
    one, other = (side.heat for side in comparison.sides)
    if one is None or other is None:
        return ""
    alike = explain.agreement(one, other)
    return trust_text.agreement(alike.rank_correlation, alike.top_overlap)


def _value(side: Side, row: str) -> str:
    if not isinstance(side.trust, Trust):
        return "–"
    if row == "control":
        value = side.trust.control.rank_correlations[0]
    else:
        value = getattr(side.trust.faithful, row)
    return "–" if math.isnan(value) else trust_text.measure(value)


def _reasons(side: Side) -> list[str]:
    kept = [side.no_trust] if side.no_trust else []
    if isinstance(side.trust, Trust):
        kept += [reason for reason in side.trust.control.reasons if reason]
    return kept
