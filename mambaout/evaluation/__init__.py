"""Numbers about models: what they cost."""

from __future__ import annotations

from mambaout.evaluation.cost import Cost, cost

__all__ = ["Cost", "cost"]
