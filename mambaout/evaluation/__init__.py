"""Numbers about models and maps: what a model costs, what an explanation is worth."""

from __future__ import annotations

from mambaout.evaluation.control import RandomisedControl, randomised_control
from mambaout.evaluation.cost import Cost, cost
from mambaout.evaluation.faithfulness import Faithfulness, faithfulness

__all__ = [
    "Cost",
    "Faithfulness",
    "RandomisedControl",
    "cost",
    "faithfulness",
    "randomised_control",
]
