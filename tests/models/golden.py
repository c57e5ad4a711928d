"""Recorded numbers of the authors' own code (see tests/golden/README.md)."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import safe_open

from tests.golden.filler import checksum, fill_state_dict

GOLDEN = Path(__file__).parents[1] / "golden"


def load_golden(name):
    """The metadata and the tensors of tests/golden/NAME.safetensors; a missing file is an error."""
    with safe_open(GOLDEN / f"{name}.safetensors", "pt") as file:
        return json.loads(file.metadata()["json"]), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118


def weights(meta, tensors):
    """The authors' state dict: stored, or drawn again by the filler and checked by its sum."""
    if meta["weights_stored"]:
        return {name[2:]: tensor for name, tensor in tensors.items() if name.startswith("w.")}
    drawn = fill_state_dict(meta["state_dict_shapes"], meta["seed"], meta["filler_scales"])
    assert checksum(drawn) == meta["weights_checksum"]
    return {name: torch.from_numpy(array) for name, array in drawn.items()}


def relative_error(got, expected):
    """max |got - expected| / max |expected| over the whole tensor."""
    assert got.shape == expected.shape
    return ((got - expected).abs().max() / expected.abs().max()).item()
