"""A file of the Hugging Face Hub, by way of the Hub's own client.

`huggingface_hub` does the work: its cache is shared with timm and other libraries, it goes on after
a cut, and it obeys HF_HUB_OFFLINE, HF_ENDPOINT, HF_HUB_CACHE and HF_TOKEN. Added here: one quick
question before the download, so that a machine without network gets its answer in seconds,
progress, and a check of the SHA-256 that the Hub states for large files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import (
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    EntryNotFoundError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils.tqdm import tqdm

from mambaout.catalogue.download import Progress
from mambaout.catalogue.hashing import file_sha256
from mambaout.errors import CheckpointError, Sentence, WeightsUnavailable

# HfHubHTTPError derives from the base error of whichever HTTP library the client uses.
_CLIENT_ERRORS: tuple[type[Exception], ...] = (OSError, HfHubHTTPError, HfHubHTTPError.__bases__[0])

# The client itself goes on after some cuts; which ones depends on its version.
_ATTEMPTS = 3


@dataclass(frozen=True)
class HubFile:
    """One file of a model repository on the Hub."""

    repo: str  # "owner/name"
    filename: str
    revision: str | None = None  # branch, tag or commit; None: the main branch

    def __str__(self) -> str:
        at = f"@{self.revision}" if self.revision else ""
        return f"{self.repo}{at}/{self.filename}"

    def cached(self, cache_dir: Path | None) -> Path | None:
        """Where the file lies on this machine, or None. Asks nobody."""
        found = try_to_load_from_cache(
            self.repo, self.filename, cache_dir=cache_dir, revision=self.revision
        )
        return Path(found) if isinstance(found, str) else None

    def fetch(self, cache_dir: Path | None, progress: Progress | None) -> Path:
        """The file, downloaded unless it is here.

        Raises:
            WeightsUnavailable: it is not here, and cannot be downloaded.
            CheckpointError: what arrived twice has another SHA-256 than the Hub states.
        """
        path = self.cached(cache_dir)
        if path is None:
            path = self._download(cache_dir, progress, again=False)
        if not _intact(path):
            path = self._download(cache_dir, progress, again=True)
            if not _intact(path):
                raise CheckpointError(
                    Sentence(
                        "{file} is damaged where it is served: try again later.", file=str(self)
                    )
                )
        return path

    def _download(self, cache_dir: Path | None, progress: Progress | None, again: bool) -> Path:
        bar = None if progress is None else _bar_class(progress)
        url = hf_hub_url(self.repo, self.filename, revision=self.revision)
        try:
            # hf_hub_download would try for more than 20 seconds to reach a host that is not there.
            get_hf_file_metadata(url, timeout=constants.HF_HUB_ETAG_TIMEOUT)
        except _CLIENT_ERRORS as error:
            raise WeightsUnavailable(_reason(error)) from error
        for left in reversed(range(_ATTEMPTS)):
            try:
                path = hf_hub_download(
                    self.repo,
                    self.filename,
                    revision=self.revision,
                    cache_dir=cache_dir,
                    force_download=again,
                    tqdm_class=bar,
                )
                break
            except _CLIENT_ERRORS as error:
                if left == 0 or not _was_cut(error):
                    raise WeightsUnavailable(_reason(error)) from error
        return Path(path)


def offline() -> bool:
    """True if HF_HUB_OFFLINE forbids every download."""
    return bool(constants.HF_HUB_OFFLINE)


def _intact(path: Path) -> bool:
    """False if the client's cache names the file by a SHA-256 that it does not have."""
    stated = path.resolve().name
    return re.fullmatch("[0-9a-f]{64}", stated) is None or file_sha256(path) == stated


def _was_cut(error: Exception) -> bool:
    """True for a broken connection: neither an answer of the Hub nor a fault of this machine."""
    return not isinstance(error, OSError)


def _reason(error: Exception) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return Sentence("offline mode is on (HF_HUB_OFFLINE)")
    if isinstance(error, RepositoryNotFoundError):
        return Sentence("the Hub has no such repository, or it is private")
    if isinstance(error, EntryNotFoundError) and isinstance(error, HfHubHTTPError):
        return Sentence("the Hub's repository no longer has this file")
    if isinstance(error, HfHubHTTPError):
        return Sentence("the Hub answered {status}", status=error.response.status_code)
    if isinstance(error, OSError) and error.errno is not None:
        return f"{error.strerror} ({error.filename or constants.HF_HUB_CACHE})"
    return Sentence(
        "{host} failed ({error})", host=constants.ENDPOINT, error=f"{type(error).__name__}: {error}"
    )


def _bar_class(progress: Progress) -> type[tqdm]:
    """A progress bar that draws nothing and reports to `progress` instead."""
    furthest = 0

    class Reporter(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **{**kwargs, "disable": True})  # type: ignore[no-untyped-call]
            self.n = kwargs.get("initial", 0)
            self.update(0)

        def update(self, n: float | None = 1) -> None:
            # Of several bars (received, written) for one file the most advanced one counts.
            nonlocal furthest
            self.n += n or 0
            furthest = max(furthest, int(self.n))
            total = None if self.total is None else int(self.total)
            progress(furthest if total is None else min(furthest, total), total)

    return Reporter
