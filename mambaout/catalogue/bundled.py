"""The weights that come with the project, checked against the manifest beside them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mambaout.catalogue.hashing import file_sha256
from mambaout.catalogue.mixing import Mixing
from mambaout.errors import CheckpointError, Sentence, WeightsUnavailable

CAUSAL = "_causal"
"""How the tag of weights ends that were trained with causal token mixers."""

_PACKAGE = Path(__file__).resolve().parents[1]


def bundled_directory() -> Path:
    """Where the bundled weights and their cards lie: in a checkout, or in an installed package.

    The variable MAMBAOUT_CHECKPOINTS names another directory.
    """
    chosen = os.environ.get("MAMBAOUT_CHECKPOINTS")
    if chosen:
        return Path(chosen)
    installed = _PACKAGE / "checkpoints"
    return installed if installed.is_dir() else _PACKAGE.parent / "checkpoints"


def bundled_path(file: str) -> Path | None:
    """Where the manifest's `file` should lie, or None if the manifest does not have it."""
    return bundled_directory() / file if file in _manifest() else None


def bundled_weights(file: str) -> Path | None:
    """The bundled `file`, known to be the one in the manifest; None if the manifest has none.

    Raises:
        WeightsUnavailable: it is in the manifest and not on the disk.
        CheckpointError: its SHA-256 is not the manifest's.
    """
    path = bundled_path(file)
    if path is None:
        return None
    if not path.is_file():
        raise WeightsUnavailable(
            Sentence(
                "The bundled weights {path} are missing: get the project again.", path=str(path)
            )
        )
    if file_sha256(path) != _manifest()[file]["sha256"]:
        raise CheckpointError(
            Sentence(
                "The bundled weights {path} are not those of the manifest (another SHA-256). If "
                "the project was cloned without Git LFS, run `git lfs pull`; otherwise get it "
                "again.",
                path=str(path),
            )
        )
    return path


def bundled_card(file: str) -> dict[str, Any] | None:
    """The card of a bundled weight file: its classes, accuracy and making; None if it has none."""
    path = bundled_directory() / f"{file.removesuffix('.safetensors')}.json"
    if not path.is_file():
        return None
    card: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return card


def bundled_cards() -> list[dict[str, Any]]:
    """The cards of all weights in the manifest, in its order."""
    return [card for file in _manifest() if (card := bundled_card(file))]


def trained_mixing(name: str) -> Mixing:
    """The mixing that the weights of a registered name were trained in, as its tag says."""
    return "causal" if name.endswith(CAUSAL) else "bidirectional"


def causal_twin(name: str) -> str | None:
    """The bundled model of the same architecture that was trained causally, on the same pictures.

    >>> causal_twin("vim_tiny_patch16_224.hustvl_in1k") is None
    True

    Args:
        name: a registered name with its tag, such as "mambaout_atto.tiny_imagenet".

    Returns:
        A name such as "mambaout_atto.tiny_imagenet_causal"; None where none is bundled, or `name`
        is itself of weights trained causally.
    """
    twin = f"{name}{CAUSAL}"
    wanted = "." in name and trained_mixing(name) == "bidirectional"
    return twin if wanted and bundled_path(f"{twin}.safetensors") else None


def _manifest() -> dict[str, dict[str, Any]]:
    path = bundled_directory() / "manifest.json"
    if not path.is_file():
        return {}
    entries: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return entries
