"""MambaOut beside visual Mamba: models, switches and explanations.

Importing registers the families with timm and does nothing else.
"""

from __future__ import annotations

from mambaout import evaluation, explain, models, ops, pictures
from mambaout.models import with_mixing, with_paths

__all__ = ["evaluation", "explain", "models", "ops", "pictures", "with_mixing", "with_paths"]
