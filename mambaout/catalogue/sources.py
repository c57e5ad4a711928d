"""Where official weights come from, and where they are kept on this machine."""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mambaout.catalogue.download import Progress, download
from mambaout.catalogue.hub import HubFile, offline
from mambaout.errors import Sentence, WeightsUnavailable


class Declaration(Protocol):
    """What a family says about its weights: a timm `PretrainedCfg`, or what was read off one."""

    @property
    def architecture(self) -> str | None:
        """The name in timm's registry, without a tag."""

    @property
    def tag(self) -> str | None:
        """Which weights of the architecture."""

    @property
    def file(self) -> str | None:
        """A name in the manifest of bundled weights, or a path of the user's own file."""

    @property
    def hf_hub_id(self) -> str | None:
        """A repository on the Hub: "owner/name" or "owner/name@revision"."""

    @property
    def hf_hub_filename(self) -> str | None:
        """The file in it; "model.safetensors" if not given."""

    @property
    def url(self) -> Any:
        """An official file elsewhere; "#sha256=<hex>&size=<bytes>" may follow."""


@dataclass(frozen=True)
class ReleaseFile:
    """An official file at a plain https address."""

    url: str
    sha256: str | None = None
    size: int | None = None

    @classmethod
    def parse(cls, url: str) -> ReleaseFile:
        """From an address that may end in "#sha256=<hex>&size=<bytes>"."""
        address, _, known = url.partition("#")
        facts = dict(urllib.parse.parse_qsl(known))
        size = facts.get("size")
        return cls(address, facts.get("sha256"), int(size) if size else None)

    def __str__(self) -> str:
        return self.url

    def fetch(self, directory: Path, progress: Progress | None) -> Path:
        """Download into `directory`; the file is the caller's to delete."""
        if offline():
            raise WeightsUnavailable(Sentence("offline mode is on (HF_HUB_OFFLINE)"))
        name = Path(urllib.parse.unquote(urllib.parse.urlsplit(self.url).path)).name
        target = directory / f"{_short_hash(self.url)}-{name}"
        if not target.exists():
            download(self.url, target, sha256=self.sha256, size=self.size, progress=progress)
        return target


def official_file(declared: Declaration) -> HubFile | ReleaseFile | None:
    """The authors' file; None where none is declared."""
    if declared.hf_hub_id:
        repo, _, revision = declared.hf_hub_id.partition("@")
        return HubFile(repo, declared.hf_hub_filename or "model.safetensors", revision or None)
    if isinstance(declared.url, str) and declared.url:
        return ReleaseFile.parse(declared.url)
    return None


def cache_directory() -> Path:
    """Where converted weights are kept: MAMBAOUT_CACHE, or the platform's place for caches."""
    chosen = os.environ.get("MAMBAOUT_CACHE")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or str(Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = str(Path.home() / "Library" / "Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "mambaout"


def converted_path(
    declared: Declaration, source: HubFile | ReleaseFile, cache: Path | None
) -> Path:
    """Where the converted file of `source` is, or would be; in `cache` instead of the user's."""
    directory = cache_directory() if cache is None else cache / "mambaout"
    # The source is part of the name: a declaration that changes must not meet an old file.
    return directory / f"{full_name(declared)}-{_short_hash(str(source))}.safetensors"


def full_name(declared: Declaration) -> str:
    """Architecture and tag, as `timm.create_model` takes them."""
    return f"{declared.architecture}.{declared.tag}" if declared.tag else str(declared.architecture)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
