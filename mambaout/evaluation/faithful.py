"""Does a map show what the model answers by? Places are taken away in its order, and it is asked.

The model is the judge, not a person: a map may be faithful and look like nothing, or look right and
have nothing to do with the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn

from mambaout.errors import ExplanationError
from mambaout.evaluation.imputation import imputed
from mambaout.explain import Explanation
from mambaout.explain.base import check_picture
from mambaout.models import share_weights

_PIXELS = 2**19  # of the pictures that the model sees at a time: ten of 224 x 224
_SEED = 0
_BLUR = 1 / 20  # standard deviation, as a share of the picture's longer side


@dataclass(frozen=True, eq=False)
class Faithfulness:
    """How the answer changes with what a map calls important.

    Every number is a probability: that of the class explained or, in a contrast, of the class if
    only it and its rival were to choose from.
    """

    deletion: float  # area under `deletion_curve`, 0 … 1; the lower the better
    insertion: float  # area under `insertion_curve`, 0 … 1; the higher the better
    road: float  # mean of `least_first` - `most_first`, -1 … 1; 0 for an order that says nothing
    class_index: int
    versus: int | None
    shares: np.ndarray  # (s,) of the places that were taken away or put in, 0 … 1
    deletion_curve: np.ndarray  # (s,), the most important places gone first
    insertion_curve: np.ndarray  # (s,), the most important places back first
    road_shares: np.ndarray  # (r,) of the places that were filled in from around them
    most_first: np.ndarray  # (r,), the most important places filled in
    least_first: np.ndarray  # (r,), the least important places filled in


def faithfulness(
    model: nn.Module,
    image: Tensor,
    explanation: Explanation,
    *,
    steps: int = 10,
    road_shares: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
    progress: Callable[[int, int], None] | None = None,
) -> Faithfulness:
    """Take the places of a picture away in the order of a map, and ask the model at every step.

    Deletion and insertion are those of Petsiuk et al. 2018 (RISE, arXiv:1806.07421): places become
    the mean colour, most important first; or come back into a blurred picture. ROAD is that of Rong
    et al. 2022 (arXiv:2202.00449): places are filled in from around them, most important first and
    least important first, and what counts is the difference. Places are the cells of the map; equal
    ones go in raster order. A signed map is followed from the most positive value down.

    It costs 2 (steps + 1) + 2 r forward passes for r ``road_shares``, and filling in 2 r pictures.
    ``model`` is left as it was found; nothing depends on chance.

    Args:
        model: the model that was explained, or another one with the same classes.
        image: the picture that was explained, normalised, (1, c, H, W).
        explanation: a map of it; where it knows no class, the model's first choice counts.
        steps: into how many steps deletion and insertion are divided, at least 1.
        road_shares: shares of the places to fill in, each in (0, 1).
        progress: called with the number of steps done and that of all; what it raises ends it.

    Raises:
        ExplanationError: the arguments are not as above.
    """
    check_picture(image)
    if steps < 1:
        raise ExplanationError(f"steps must be at least 1, got {steps}")
    if not road_shares or not all(0 < share < 1 for share in road_shares):
        raise ExplanationError(f"road_shares must be between 0 and 1, got {list(road_shares)}")
    view = share_weights(model).eval()
    picture = image[0].detach()
    shares = np.linspace(0, 1, steps + 1)
    with torch.inference_mode():
        logits = view(picture[None])[0]
        index = explanation.class_index
        index = int(logits.argmax()) if index is None else index
        for asked in (index, explanation.versus):
            if asked is not None and asked >= len(logits):
                raise ExplanationError(
                    f"expected a model that knows class {asked}, got an answer over "
                    f"{len(logits)} classes"
                )
        edits = list(_edits(picture, _Order(explanation.values, picture), shares, road_shares))
        answers = _answers(view, edits, image[0, 0].numel(), index, explanation.versus, progress)
    sizes = [steps + 1, steps + 1, len(road_shares), len(road_shares)]
    deletion, insertion, most, least = np.split(answers, np.cumsum(sizes)[:-1])
    return Faithfulness(
        deletion=float(np.trapezoid(deletion, shares)),
        insertion=float(np.trapezoid(insertion, shares)),
        road=float((least - most).mean()),
        class_index=index,
        versus=explanation.versus,
        shares=shares,
        deletion_curve=deletion,
        insertion_curve=insertion,
        road_shares=np.asarray(road_shares, np.float64),
        most_first=most,
        least_first=least,
    )


class _Order:
    """The cells of a map, laid over a picture and ranked from the most important."""

    def __init__(self, values: np.ndarray, picture: Tensor) -> None:
        order = np.argsort(-values.ravel(), kind="stable")
        rank = np.empty(values.size, np.int64)
        rank[order] = np.arange(values.size)
        rows, columns = (
            torch.arange(pixels) * cells // pixels
            for pixels, cells in zip(picture.shape[1:], values.shape, strict=True)
        )
        self.cells = values.size
        self.rank = torch.from_numpy(rank.reshape(values.shape))[rows[:, None], columns]
        self.rank = self.rank.to(picture.device)

    def most(self, share: float) -> Tensor:
        """The pixels, (H, W), of the most important cells."""
        return self.rank < round(share * self.cells)

    def least(self, share: float) -> Tensor:
        """The pixels, (H, W), of the least important cells."""
        return self.rank >= self.cells - round(share * self.cells)


def _edits(
    picture: Tensor, order: _Order, shares: np.ndarray, road_shares: Sequence[float]
) -> Iterator[Callable[[], Tensor]]:
    """How to make each picture that the model is asked about; not all of them at once."""
    blurred = _blurred(picture)
    for share in shares:
        yield partial(_put_in, order.most(share), torch.zeros_like(picture), picture)
    for share in shares:
        yield partial(_put_in, order.most(share), picture, blurred)
    for which in (order.most, order.least):
        for share in road_shares:
            yield partial(_filled_in, picture, which(share))


def _filled_in(picture: Tensor, missing: Tensor) -> Tensor:
    return imputed(picture[None], missing[None], _SEED)[0]


def _put_in(where: Tensor, this: Tensor, instead: Tensor) -> Tensor:
    return torch.where(where, this, instead)


def _blurred(picture: Tensor) -> Tensor:
    from torchvision.transforms.functional import gaussian_blur

    height, width = picture.shape[1:]
    sigma = _BLUR * max(height, width)
    # Three standard deviations to either side, but no further than a reflected edge reaches.
    reach = min(round(3 * sigma), height - 1, width - 1)
    blurred: Tensor = gaussian_blur(picture, [2 * reach + 1] * 2, [sigma] * 2)
    return blurred


def _answers(
    view: nn.Module,
    edits: Sequence[Callable[[], Tensor]],
    pixels: int,
    index: int,
    versus: int | None,
    progress: Callable[[int, int], None] | None,
) -> np.ndarray:
    """The probability in question for every edit, (edits,) float64."""
    answers: list[Tensor] = []
    at_once = max(1, _PIXELS // pixels)
    for first in range(0, len(edits), at_once):
        pictures = torch.stack([edit() for edit in edits[first : first + at_once]])
        logits = view(pictures).double()
        if versus is None:
            answers.append(logits.softmax(-1)[:, index])
        else:
            answers.append((logits[:, index] - logits[:, versus]).sigmoid())
        if progress is not None:
            progress(first + len(pictures), len(edits))
    return torch.cat(answers).numpy(force=True)
