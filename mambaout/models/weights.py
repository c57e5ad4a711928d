"""Where pretrained weights come from, and how they become a file that timm can load.

Three places, in this order of trust: bundled with the project, already in the user's cache, and
the authors' official files, which are downloaded, read safely, checked against the architecture
and saved once as a safetensors file with the weights alone and our names (an official Vim file is
four times its weights and a pickle).

A family declares its weights in timm's `pretrained_cfg` of each tag. Read here:

`file`              a name in `checkpoints/manifest.json` (bundled), or a path of the user's own
                    safetensors file.
`hf_hub_id`         official file on the Hugging Face Hub: "owner/name" or "owner/name@revision",
`hf_hub_filename`   and its name there ("model.safetensors" if not given).
`url`               official release file elsewhere; what is known of it may follow as
                    "#sha256=<hex>&size=<bytes>".
`license`           is written into the converted file, with the source and the source's SHA-256.
`architecture`, `tag`, `num_classes`, `input_size`   the model that the file must fit, strictly.

The first of `file`, `hf_hub_id`, `url` that is set is used. Environment: MAMBAOUT_CACHE (where
converted files go), MAMBAOUT_CHECKPOINTS (another directory of bundled files), and the Hub's
own HF_HUB_OFFLINE (nothing is downloaded), HF_ENDPOINT, HF_HUB_CACHE.
"""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import timm
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from timm.models import PretrainedCfg, get_pretrained_cfg

from mambaout.errors import CheckpointError, WeightsUnavailable
from mambaout.models.bundled import bundled_path, bundled_weights
from mambaout.models.conversion import convert
from mambaout.models.download import Progress, download
from mambaout.models.hub import HubFile, offline

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
            raise WeightsUnavailable("offline mode is on (HF_HUB_OFFLINE)")
        name = Path(urllib.parse.unquote(urllib.parse.urlsplit(self.url).path)).name
        target = directory / f"{_short_hash(self.url)}-{name}"
        if not target.exists():
            download(self.url, target, sha256=self.sha256, size=self.size, progress=progress)
        return target


def fetch_weights(name: str, progress: Progress | None = None) -> Path:
    """A weights-only safetensors file for a registered model, downloaded and converted if need be.

    Args:
        name: architecture and tag, such as "vim_tiny_patch16_224.in1k", or the architecture alone
            for its default weights.
        progress: called with the bytes that have arrived and the total (None if not known).

    Returns:
        Path of a file with the model's own names, which
        `timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"file": path})` and
        `mambaout.models.load_checkpoint(model, path)` take.

    Raises:
        WeightsUnavailable: there are none for this name, or they cannot be downloaded.
        CheckpointError: they are damaged or belong to another model.
    """
    return weights_file(declared_weights(name), progress)


def weights_status(name: str) -> WeightsStatus:
    """Whether `name`'s weights are here, without asking the network and without reading them.

    Raises:
        WeightsUnavailable: no model has this name.
    """
    cfg = declared_weights(name)
    if cfg.file:
        path = bundled_path(cfg.file)
        if path is not None and path.is_file():
            return WeightsStatus("bundled", "bundled with the project", path.stat().st_size, path)
        return WeightsStatus("unavailable", f"The bundled file {cfg.file} is missing.", None, None)
    source = _official(cfg)
    if source is None:
        return WeightsStatus("unavailable", "No weights are published for it.", None, None)
    here = _converted_path(cfg, source, None)
    path = here if here.is_file() else None
    if path is None and isinstance(source, HubFile):
        path = source.cached(None)
    if path is not None:
        return WeightsStatus("cached", f"downloaded from {source}", path.stat().st_size, path)
    if offline():
        reason = "Not downloaded yet, and offline mode is on."
        return WeightsStatus("unavailable", reason, None, None)
    return WeightsStatus("available", f"will be downloaded from {source}", None, None)


def weights_file(
    cfg: PretrainedCfg,
    progress: Progress | None = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """The local safetensors file of the weights that `cfg` declares (see the module's text).

    Args:
        cfg: the declaration, with the `architecture` that the weights must fit.
        progress: as for `fetch_weights`.
        cache_dir: keep downloads and converted files here instead of in the user's caches.

    Raises:
        WeightsUnavailable, CheckpointError: as `fetch_weights`.
    """
    if cfg.file:
        return bundled_weights(cfg.file) or _users_own(Path(cfg.file))
    source = _official(cfg)
    if source is None:
        raise WeightsUnavailable(
            f"No weights are published for {_name(cfg)}: build it with pretrained=False, "
            "or load a file of your own with mambaout.models.load_checkpoint(model, path)."
        )
    cache = None if cache_dir is None else Path(cache_dir)
    target = _converted_path(cfg, source, cache)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if _readable(target):
                return target
            return _obtain(cfg, source, target, cache, progress)
    except WeightsUnavailable as error:
        raise WeightsUnavailable(
            f"The weights of {_name(cfg)} ({source}) are not on this machine and could not be "
            f"downloaded: {str(error).rstrip('.')}. Connect to the internet and try again, or get "
            "the file by other means and load it with mambaout.models.load_checkpoint(model, path)."
        ) from error
    except OSError as error:
        raise WeightsUnavailable(
            f"Cannot write to {target.parent} ({error.strerror or error}): set MAMBAOUT_CACHE to a "
            "directory with enough space."
        ) from error


def declared_weights(name: str) -> PretrainedCfg:
    """The declaration of a registered model's weights; of its default ones if `name` has no tag.

    Raises:
        WeightsUnavailable: no model has this name, or the model has no such tag.
    """
    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise WeightsUnavailable(f"No model is named {architecture}: see timm.list_models().")
    try:
        cfg = get_pretrained_cfg(name)
    except RuntimeError as error:
        raise WeightsUnavailable(f"{architecture} has no weights with that tag: {error}") from error
    return cfg or PretrainedCfg(architecture=architecture)


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


def _official(cfg: PretrainedCfg) -> HubFile | ReleaseFile | None:
    if cfg.hf_hub_id:
        repo, _, revision = cfg.hf_hub_id.partition("@")
        return HubFile(repo, cfg.hf_hub_filename or "model.safetensors", revision or None)
    if isinstance(cfg.url, str) and cfg.url:
        return ReleaseFile.parse(cfg.url)
    return None


def _users_own(path: Path) -> Path:
    if not path.is_file():
        raise WeightsUnavailable(f"There is no weight file at {path}.")
    if path.suffix != ".safetensors":
        raise CheckpointError(
            f"{path.name} is not a safetensors file. Build the model with pretrained=False and use "
            "mambaout.models.load_checkpoint(model, path), which reads the authors' files."
        )
    return path


def _converted_path(cfg: PretrainedCfg, source: HubFile | ReleaseFile, cache: Path | None) -> Path:
    directory = cache_directory() if cache is None else cache / "mambaout"
    # The source is part of the name: a declaration that changes must not meet an old file.
    return directory / f"{_name(cfg)}-{_short_hash(str(source))}.safetensors"


def _name(cfg: PretrainedCfg) -> str:
    return f"{cfg.architecture}.{cfg.tag}" if cfg.tag else str(cfg.architecture)


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _readable(path: Path) -> bool:
    """True if a converted file is there and as long as its header says."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt"):
            return True
    except (SafetensorError, OSError):
        return False


def _obtain(
    cfg: PretrainedCfg,
    source: HubFile | ReleaseFile,
    target: Path,
    cache: Path | None,
    progress: Progress | None,
) -> Path:
    """Download `source` and make it loadable; what only this project keeps of it is deleted."""
    if isinstance(source, HubFile):
        return convert(source.fetch(cache, progress), target, cfg, str(source))
    official = source.fetch(target.parent, progress)
    try:
        return convert(official, target, cfg, str(source))
    finally:
        official.unlink()
