"""Which tokens a token mixer may see: all of them, or only those before it in raster order."""

from __future__ import annotations

from functools import singledispatch
from typing import TypeVar

from torch import nn

from mambaout.catalogue.mixing import Mixing, check_mixing
from mambaout.errors import Sentence
from mambaout.models.sharing import share_weights

ModelT = TypeVar("ModelT", bound=nn.Module)


def with_mixing(model: ModelT, mixing: Mixing) -> ModelT:
    """A view of ``model`` in the given mixing: new modules, the same weights.

    In a causal view the output of every token mixer at token t has an exactly zero Jacobian to
    inputs after t in raster order. ``model`` itself does not change, so both may serve requests at
    the same time. The weights were trained in one mixing; the view shows what they do in another,
    not what a model trained that way would do.

    Args:
        model: a model of a family that has a causal form.
        mixing: "bidirectional" (all of the family's scan paths or taps) or "causal".

    Raises:
        ValueError: there is no such mixing.
        TypeError: the model has no faithful causal form; the text says why.
    """
    check_mixing(mixing)
    reason = why_no_causal_form(model)
    if reason is not None:
        raise TypeError(reason)
    view = share_weights(model)
    # A list, not a generator inside any(): any() stops at the first mixer and leaves the rest.
    switched = [set_mixing(module, mixing) for module in list(view.modules())]
    if not any(switched):
        raise TypeError(
            Sentence("{model} has no token mixer with a causal form", model=type(model).__name__)
        )
    return view


@singledispatch
def set_mixing(_mixer: nn.Module, _mixing: Mixing) -> bool:
    """Switch one token mixer in place and return True; each family registers its own here."""
    return False


@singledispatch
def why_no_causal_form(_model: nn.Module) -> str | None:
    """Why a model with mixers has no faithful causal form, in words for its user; None if it has.

    Families whose mixers cannot be cut without changing the model register their reason here.
    """
    return None
