"""What a comparison has found so far.

Arrays and facts, no tensors and no modules: a result outlives the models that made it, and can be
drawn again in another way without them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from app.precision import Precision
from app.store import LoadedModel, Measured
from mambaout import evaluation, explain
from mambaout.catalogue.cards import ModelCard
from mambaout.catalogue.mixing import Mixing
from mambaout.catalogue.vocabulary import Vocabulary
from mambaout.evaluation.comparison_report import PictureFacts
from mambaout.evaluation.novelty import Hint
from mambaout.evaluation.said import Said


@dataclass(frozen=True, eq=False)
class Facts:
    """What holds for a model whatever the picture."""

    card: ModelCard
    vocabulary: Vocabulary
    macs: int
    macs_how: str
    tensors: int
    measured: Measured | None
    device: str
    side: int  # of the square it is given [px]
    layers: tuple[str, ...]  # the modules that a heat map may be of, first to last
    layer: str  # the one it is of unless another is asked for
    precision: Precision  # of its answers

    @classmethod
    def of(cls, model: LoadedModel) -> Facts:
        """Of a model, which is not kept."""
        from mambaout.models import token_grid

        tokens = token_grid(model.model)
        return cls(
            card=model.card,
            vocabulary=model.vocabulary,
            macs=model.cost.macs,
            macs_how=model.cost.how,
            tensors=model.tensors,
            measured=model.measured,
            device=model.device,
            side=model.framing.side,
            layers=tokens.targets,
            layer=tokens.default_target,
            precision=model.precision,
        )


@dataclass(frozen=True, eq=False)
class Answer(Said):
    """What one model says about the picture."""

    bidirectional: np.ndarray | None  # of the same weights, where mixing was switched; else None
    no_causal_form: str | None  # why mixing was not switched though asked for
    seconds: float  # one forward pass
    hint: Hint | None = None  # where the answer is as unsure as those on other things often are


@dataclass(frozen=True, eq=False)
class Trust:
    """What the tests of one heat map gave."""

    faithful: evaluation.Faithfulness
    control: evaluation.RandomisedControl


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two models, as far as it is known. An empty reason means: not known yet."""

    title: str
    error: str = ""  # why there is no answer
    facts: Facts | None = None
    seen: Image.Image | None = None  # the part of the picture that the model sees
    image: np.ndarray | None = None  # (1, 3, side, side): exactly what the model was given
    answer: Answer | None = None
    explained: int | None = None  # class index of the heat map
    layer: str | None = None  # that the heat map is of; None for the model's default
    heat: explain.Explanation | None = None
    no_heat: str = ""
    trust: Trust | None = None  # of that heat map, once it was tested
    no_trust: str = ""
    trace: explain.ScanTrace | None = None
    no_trace: str = ""
    window: np.ndarray | None = None  # (h, w) bool: the taps in use of a convolution that mixes


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both sides of one request."""

    names: tuple[str, str]
    mixing: Mixing
    method: str  # of the heat maps
    picture: PictureFacts
    sides: tuple[Side, Side]
    chosen_key: str | None = None  # the class that was asked to be explained, by its key ...
    chosen_label: str = ""  # ... and as the row says that was selected
    rival_key: str | None = None  # the class to explain against; None for the likeliest other one

    def with_side(self, index: int, side: Side) -> Comparison:
        """The same with one side replaced."""
        sides = (side, self.sides[1]) if index == 0 else (self.sides[0], side)
        return replace(self, sides=sides)

    @property
    def answered(self) -> bool:
        """Whether both models have answered."""
        return all(side.answer is not None for side in self.sides)


Stage = tuple[Comparison, str]  # what is known by now, and what is being done; "" at the end
