"""Whether a model's weights can be had, without asking the network and without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mambaout.catalogue.bundled import bundled_path
from mambaout.catalogue.hub import HubFile, offline
from mambaout.catalogue.sources import Declaration, converted_path, official_file
from mambaout.errors import Sentence

State = Literal["bundled", "cached", "available", "unavailable"]


@dataclass(frozen=True)
class WeightsStatus:
    """Whether a model's weights can be had, found out without asking the network.

    "bundled" and "cached" need no network; "available" needs a download; "unavailable" says why.
    """

    state: State
    reason: str  # one sentence, or where the weights come from
    bytes: int | None  # size of the local file; None where there is none yet
    path: Path | None  # local file, which may still have to be converted


def status_of(declared: Declaration) -> WeightsStatus:
    """Whether these weights are here."""
    if declared.file:
        path = bundled_path(declared.file)
        if path is not None and path.is_file():
            return WeightsStatus("bundled", "bundled with the project", path.stat().st_size, path)
        reason = Sentence("The bundled file {file} is missing.", file=declared.file)
        return WeightsStatus("unavailable", reason, None, None)
    source = official_file(declared)
    if source is None:
        reason = Sentence("No weights are published for it.")
        return WeightsStatus("unavailable", reason, None, None)
    here = converted_path(declared, source, None)
    path = here if here.is_file() else None
    if path is None and isinstance(source, HubFile):
        path = source.cached(None)
    if path is not None:
        return WeightsStatus("cached", f"downloaded from {source}", path.stat().st_size, path)
    if offline():
        reason = Sentence("Not downloaded yet, and offline mode is on.")
        return WeightsStatus("unavailable", reason, None, None)
    return WeightsStatus("available", f"will be downloaded from {source}", None, None)
