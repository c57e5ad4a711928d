"""What the heat maps of a comparison are worth: tests that are run when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from app.background import Progress, watched
from app.compare.request import asked, input_of, mixed
from app.compare.result import Comparison, Side, Stage, Trust
from app.compare.trust_text import checking
from app.loading import loading
from app.store import LoadedModel, ModelStore
from mambaout import evaluation
from mambaout.errors import MambaOutError, said_by


def check_maps(store: ModelStore, comparison: Comparison) -> Iterator[Stage]:
    """Test both heat maps, saying how far that is; a map that cannot be tested has a reason."""
    result = comparison
    for index, side in enumerate(comparison.sides):
        if side.heat is None:
            continue
        for model, status in loading(store, comparison.names[index], side.title):
            if model is None:
                yield result, status
                continue
            for trust, step in _tested(store, comparison, index, model):
                if trust is None:
                    yield result, step
                    continue
                tested = replace(side, trust=trust if isinstance(trust, Trust) else None)
                reason = trust if isinstance(trust, str) else ""
                result = result.with_side(index, replace(tested, no_trust=reason))
    yield result, ""


def _tested(
    store: ModelStore, comparison: Comparison, index: int, model: LoadedModel
) -> Iterator[tuple[Trust | str | None, str]]:
    """The tests of one side's heat map; a sentence where they cannot be made."""
    side = comparison.sides[index]
    heat = side.heat
    if heat is None:
        raise ValueError("there is no heat map to test")
    key = (*asked(comparison, index), "trust", heat.method, heat.layer, side.explained, heat.versus)

    def work(progress: Progress) -> Trust | str:
        view, image = mixed(model, side, comparison.mixing), input_of(side, model)
        try:
            return Trust(
                evaluation.faithfulness(view, image, heat, progress=progress),
                evaluation.randomised_control(view, image, heat),
            )
        except MambaOutError as reason:
            return said_by(reason)

    yield from watched(
        lambda progress: store.results.get(key, lambda: work(progress)),
        lambda arrived: checking(side.title, arrived),
    )


def tested(side: Side) -> bool:
    """Whether the tests of this side's map were run."""
    return side.trust is not None or bool(side.no_trust)
