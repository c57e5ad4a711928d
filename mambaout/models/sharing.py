"""A second tree of modules on the same weights."""

from __future__ import annotations

import copy
from itertools import chain
from typing import TypeVar

from torch import nn

ModelT = TypeVar("ModelT", bound=nn.Module)


def share_weights(model: ModelT) -> ModelT:
    """New modules on the tensors of ``model``: hooks and switches on one do not reach the other.

    Whoever hooks or changes a model does it on such a view, because the model itself may be serving
    another request at the same moment. Costs milliseconds and no weight memory.
    """
    weights = {id(t): t for t in chain(model.parameters(), model.buffers())}
    return copy.deepcopy(model, memo=weights)
