"""What the families declare about every model with weights, and what was read off its network.

Asking timm would mean importing it, which takes seconds, and building the networks takes minutes.
So it was written down: `facts.json` is what `python -m mambaout.evaluation.facts` finds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FACTS_FILE = Path(__file__).with_name("facts.json")


@dataclass(frozen=True)
class Declared:
    """One set of weights: a `mambaout.catalogue.sources.Declaration`, and its network's facts."""

    name: str  # architecture and tag
    module: str  # that registers the architecture with timm
    num_classes: int
    data: str  # what the classes are, such as "ImageNet-1k"
    input_size: tuple[int, int, int]  # channels, height, width
    license: str  # of the weights; "" if not stated
    params: int  # trained numbers in the network
    macs: int | None = None  # at `input_size`, as `mambaout.evaluation.cost` counts
    no_causal_form: str | None = None  # why there is none
    file: str | None = None
    hf_hub_id: str | None = None
    hf_hub_filename: str | None = None
    url: str | None = None

    @property
    def architecture(self) -> str:
        """Its name without the tag."""
        return self.name.partition(".")[0]

    @property
    def tag(self) -> str:
        """Which weights of the architecture."""
        return self.name.partition(".")[2]


@cache
def declared_models() -> dict[str, Declared]:
    """Every model that may be offered, by its name with its tag."""
    entries = json.loads(FACTS_FILE.read_text(encoding="utf-8"))
    return {
        name: Declared(name=name, **{**entry, "input_size": tuple(entry["input_size"])})
        for name, entry in entries.items()
    }
