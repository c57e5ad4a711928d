"""Numbers about models and maps: what a model costs, what an explanation is worth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mambaout.deferred import deferred

if TYPE_CHECKING:
    from mambaout.evaluation.control import RandomisedControl, randomised_control
    from mambaout.evaluation.counting import Cost, cost
    from mambaout.evaluation.faithful import Faithfulness, faithfulness

__all__ = [
    "Cost",
    "Faithfulness",
    "RandomisedControl",
    "cost",
    "faithfulness",
    "randomised_control",
]

__getattr__, __dir__ = deferred(
    __name__,
    {
        "Cost": "mambaout.evaluation.counting",
        "Faithfulness": "mambaout.evaluation.faithful",
        "RandomisedControl": "mambaout.evaluation.control",
        "cost": "mambaout.evaluation.counting",
        "faithfulness": "mambaout.evaluation.faithful",
        "randomised_control": "mambaout.evaluation.control",
    },
)
