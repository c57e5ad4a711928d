"""What is left of a model's token mixers in its causal form, in sentences."""

from __future__ import annotations

from app.language import tr
from mambaout.catalogue.bundled import trained_mixing
from mambaout.catalogue.cards import ModelCard
from mambaout.evaluation import caveats


def causal_form(card: ModelCard) -> list[str]:
    """How its family was cut, or that this model was trained so; nothing where nothing is known."""
    if trained_mixing(card.name) == "causal":
        return [f"{card.title.partition(',')[0]} {tr(caveats.TRAINED_CAUSALLY)}"]
    form = caveats.CAUSAL_FORM.get(card.family)
    return [f"{card.family} {tr(form)}"] if form else []
