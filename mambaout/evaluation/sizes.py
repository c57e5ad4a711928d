"""Count every published model again: `python -m mambaout.evaluation.sizes`.

Writes `sizes.json` of `mambaout.models`. Takes a minute or two, and no weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict

import timm
import torch

from mambaout.evaluation.cost import cost
from mambaout.models.published import PUBLISHED
from mambaout.models.sizes import SIZES_FILE, Size
from mambaout.models.weights import declared_weights


def count_size(name: str) -> Size:
    """Build a registered model without weights and count it at its declared picture size."""
    with torch.device("meta"):
        model = timm.create_model(name)
    counted = cost(model, declared_weights(name).input_size)
    return Size(counted.params, counted.macs)


def main() -> None:
    """Write the sizes of all published models, one a line."""
    lines = [f"  {json.dumps(name)}: {json.dumps(asdict(count_size(name)))}" for name in PUBLISHED]
    SIZES_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
