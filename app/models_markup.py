"""The table of the models on offer."""

from __future__ import annotations

from collections.abc import Sequence

from app import text
from app.language import told, tr
from app.markup import escaped
from app.numbers import count
from mambaout.catalogue.cards import ModelCard


def models_table(cards: Sequence[ModelCard]) -> str:
    """Every model on offer with what is known of it, family by family."""
    columns = (
        tr("model"),
        tr("parameters"),
        tr("MACs"),
        tr("top-1"),
        tr("classes"),
        tr("pixels"),
        tr("weights"),
        tr("licence"),
    )
    header = "".join(f'<th scope="col">{escaped(column)}</th>' for column in columns)
    families = dict.fromkeys((card.family, card.mixer) for card in cards)
    bodies = "".join(
        f'<tbody><tr class="mo-family"><th scope="rowgroup" colspan="{len(columns)}">'
        f"{escaped(family)} <span>{escaped(tr(mixer))}</span></th></tr>"
        f"{''.join(_model_row(card) for card in cards if card.family == family)}</tbody>"
        for family, mixer in families
    )
    return (
        '<div class="mo-table" tabindex="0" role="region" '
        f'aria-label="{escaped(tr("Models on offer"))}"><table>'
        f"<thead><tr>{header}</tr></thead>{bodies}</table></div>"
    )


def _model_row(card: ModelCard) -> str:
    top1 = "–"
    if card.top1 is not None:
        top1 = f'<span title="{escaped(told(card.top1_source))}">{card.top1:.1f} %</span>'
    cells = (
        escaped(count(card.params)),
        "–" if card.macs is None else escaped(count(card.macs)),
        top1,
        escaped(tr(card.data)),
        f"{card.input_size[1]}²",
        escaped(text.weights_note(card)),
        escaped(card.licence or tr("not stated")),
    )
    name = f"{escaped(card.title)}<br><small>{escaped(card.name)}</small>"
    return f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
