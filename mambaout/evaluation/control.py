"""Does a map depend on what the model has learned? The same map of a model that forgot it.

Adebayo et al. 2018, "Sanity Checks for Saliency Maps", arXiv:1810.03292, section 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mambaout.errors import ExplanationError, said_by
from mambaout.explain import Explanation, grad_cam
from mambaout.explain.base import find_tokens
from mambaout.explain.cam_methods import METHODS
from mambaout.explain.map_agreement import rank_correlation
from mambaout.models import share_weights, token_grid


@dataclass(frozen=True)
class RandomisedControl:
    """A map compared with those of models whose weights were redrawn, from the classifier down.

    The nearer a correlation is to 1, the less the map has to do with what was redrawn.
    """

    redrawn: tuple[str, ...]  # what was redrawn last; all that comes after it was redrawn as well
    rank_correlations: tuple[float, ...]  # Spearman's, with the map as it is; NaN: see `reasons`
    reasons: tuple[str, ...]  # why there was no map to compare with; empty where there was one
    seed: int


def randomised_control(
    model: nn.Module,
    image: Tensor,
    explanation: Explanation,
    *,
    cascade: bool = False,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> RandomisedControl:
    """Explain ``image`` again with weights redrawn, and correlate the maps.

    Redrawn means that the numbers in each weight tensor change places at random: its mean and
    spread stay, so that activations stay in their range. Each entry costs one `grad_cam`, which has
    the method, layer and classes of ``explanation``. ``model`` is left as it was found.

    Args:
        model: the model that was explained.
        image: the picture that was explained, normalised, (1, c, H, W).
        explanation: a map by `grad_cam`.
        cascade: redraw the classifier, then the last stage (or block, where there are no stages) as
            well, and so on down to the first, one entry each; False for the classifier alone.
        seed: of the permutations; one of its own for each tensor, the same in every entry.
        progress: called with the number of maps made and that of all; what it raises ends it.

    Raises:
        ExplanationError: ``explanation`` is not by `grad_cam` on this model.
    """
    known = find_tokens(model).targets
    if explanation.layer not in known or explanation.method not in METHODS:
        raise ExplanationError(
            f"expected a map by grad_cam of one of {', '.join(known)}, got one by "
            f"{explanation.method} of {explanation.layer}"
        )
    depths = _depths(model) if cascade else _depths(model)[:1]
    correlations, reasons = [], []
    for i, (_, first) in enumerate(depths):
        try:
            map_of_noise = grad_cam(
                _redrawn(model, first, seed),
                image,
                explanation.class_index,
                explanation.layer,
                explanation.method,
                versus=explanation.versus,
            )
        except ExplanationError as error:
            correlations.append(float("nan"))
            reasons.append(said_by(error))
        else:
            correlations.append(rank_correlation(explanation.values, map_of_noise.values))
            reasons.append("")
        if progress is not None:
            progress(i + 1, len(depths))
    return RandomisedControl(
        tuple(name for name, _ in depths), tuple(correlations), tuple(reasons), seed
    )


def _depths(model: nn.Module) -> list[tuple[str, int]]:
    """Parts of ``model`` from the classifier to the first stage, each with its first parameter.

    Parameters are counted in the order of registration, which is that of the forward pass.
    """
    names = [name for name, _ in model.named_parameters()]
    get_classifier: Callable[[], nn.Module] = model.get_classifier  # type: ignore[assignment]
    head = {id(p) for p in get_classifier().parameters()}
    ids = [id(p) for p in model.parameters()]
    first = next(i for i, of in enumerate(ids) if of in head)
    depths = [("classifier", first)]
    for target in reversed(token_grid(model).targets):
        part = re.match(r"\w+\.\d+", target)  # a stage, or a block of a plain stack
        name = part[0] if part else target
        of_block = [i for i, of in enumerate(names) if of.startswith(f"{name}.")]
        if of_block and name not in dict(depths):
            depths.append((name, of_block[0]))
    return depths


def _redrawn(model: nn.Module, first: int, seed: int) -> nn.Module:
    """A view of ``model`` in which the parameters from number ``first`` on are shuffled copies."""
    view = share_weights(model)
    for number, (name, weight) in enumerate(list(view.named_parameters())):
        if number < first:
            continue
        rng = torch.Generator().manual_seed(seed * 1_000_003 + number)
        places = torch.randperm(weight.numel(), generator=rng).to(weight.device)
        shuffled = weight.detach().flatten()[places].view_as(weight)
        parent, _, leaf = name.rpartition(".")
        setattr(view.get_submodule(parent), leaf, nn.Parameter(shuffled, requires_grad=False))
    return view
