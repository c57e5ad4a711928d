"""MambaOut beside visual Mamba: models, switches and explanations.

Importing has the families registered with timm and does nothing else. What is costly to import,
torch and timm among it, is imported with what is first used of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mambaout.deferred import deferred
from mambaout.registration import register_with_timm

if TYPE_CHECKING:
    from mambaout import catalogue, evaluation, explain, models, ops, pictures
    from mambaout.models import with_mixing, with_paths

__all__ = [
    "catalogue",
    "evaluation",
    "explain",
    "models",
    "ops",
    "pictures",
    "with_mixing",
    "with_paths",
]

__getattr__, __dir__ = deferred(
    __name__,
    {
        "catalogue": None,
        "evaluation": None,
        "explain": None,
        "models": None,
        "ops": None,
        "pictures": None,
        "with_mixing": "mambaout.models",
        "with_paths": "mambaout.models",
    },
)

register_with_timm()
