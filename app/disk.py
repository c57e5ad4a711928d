"""How much visitors may have on the disk: a ceiling for everything that lies beside the uploads."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from gradio.utils import get_upload_folder
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.language import noted, speaking, tr
from app.visitor_language import language_of

MAX_FOLDER_BYTES: Final = 4 * 2**30
NO_ROOM: Final = noted("There is no room for this file now: please try again in a few minutes.")

_KEPT_SECONDS: Final = 300  # a file may be waited for in the queue
_LOOK_SECONDS: Final = 30  # handlers write pictures too, and nobody says so
_SPARE_BYTES: Final = 256 * 2**20  # of the disk, for everybody else
_BLOCK_BYTES: Final = 4096  # an empty file takes one too, and so does its folder


class _File(NamedTuple):
    changed: float
    bytes: int
    path: str


class FolderBound:
    """Keeps a folder below a ceiling: what is oldest goes, and what would not fit is not let in.

    What lies there at the beginning is the page's own: it stays, and is not counted. Several
    threads may ask at the same time.

    Args:
        folder: where uploads, and the files that handlers make, have a folder each.
        ceiling: bytes on disk, counted in blocks.
        kept_seconds: no file goes before this age.
    """

    def __init__(self, folder: Path, ceiling: int, kept_seconds: float = _KEPT_SECONDS) -> None:
        self.folder, self.ceiling, self.kept_seconds = folder, ceiling, kept_seconds
        self._own = frozenset(file.path for file in _files(folder))
        self._lock = threading.Lock()
        self._held = 0  # when last looked, and what was let in since
        self._looked = float("-inf")
        self._coming = 0

    def let_in(self, size: int) -> bool:
        """Whether this many bytes may come; if so, they are counted until they `arrived`."""
        with self._lock:
            if self._held + self._coming + size > self._room() or self.is_time():
                self._make_room(size)
            if self._held + self._coming + size > self._room():
                return False
            self._coming += size
            return True

    def arrived(self, size: int) -> None:
        """What was let in lies on the disk now, or will not come."""
        with self._lock:
            self._coming -= size
            self._held += size

    def look(self) -> None:
        """Make room where handlers have filled the folder, unless that was done just now."""
        with self._lock:
            if self.is_time():
                self._make_room(0)

    def is_time(self) -> bool:
        """Whether `look` would."""
        return time.monotonic() - self._looked >= _LOOK_SECONDS

    def _room(self) -> int:
        """What may lie in the folder now: less than the ceiling where the disk itself is full."""
        if not self.folder.exists():
            return self.ceiling
        free = shutil.disk_usage(self.folder).free
        return min(self.ceiling, self._held + max(free - _SPARE_BYTES, 0))

    def _make_room(self, size: int) -> None:
        files = sorted(file for file in _files(self.folder) if file.path not in self._own)
        self._held = sum(file.bytes for file in files)
        self._looked = time.monotonic()
        oldest = time.time() - self.kept_seconds
        for file in files:
            if self._held + self._coming + size <= self._room() or file.changed > oldest:
                break
            Path(file.path).unlink(missing_ok=True)
            self._held -= file.bytes
        _remove_empty(self.folder, oldest)


class DiskBound:
    """ASGI middleware: uploads that have no room on the disk are refused with 507.

    Args:
        app: what answers the requests that pass.
        upload_route: how the path of an upload ends.
        unannounced: what an upload counts for that does not say how large it is.
        ceiling: as for `FolderBound`.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        upload_route: str,
        unannounced: int,
        ceiling: int,
        kept_seconds: float = _KEPT_SECONDS,
    ) -> None:
        self.app = app
        self.upload_route = upload_route
        self.unannounced = unannounced
        self.bound = FolderBound(Path(get_upload_folder()), ceiling, kept_seconds)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if not scope["path"].rstrip("/").endswith(self.upload_route):
            if self.bound.is_time():
                await run_in_threadpool(self.bound.look)
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        size = int(announced) if announced.isdecimal() else self.unannounced
        size += 2 * _BLOCK_BYTES
        if not await run_in_threadpool(self.bound.let_in, size):
            with speaking(language_of(scope)):
                sentence = tr(NO_ROOM)
            refusal = PlainTextResponse(
                sentence, status_code=507
            )  # Insufficient Storage (RFC 4918)
            await refusal(scope, receive, send)
            return
        try:
            await self.app(scope, receive, send)
        finally:
            self.bound.arrived(size)


def _files(folder: Path) -> Iterator[_File]:
    """Every file below a folder; one that goes away meanwhile is passed over."""
    for at, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(at, name)  # noqa: PTH118 - pathlib takes ten times as long
            try:
                found = os.lstat(path)
            except OSError:
                continue
            blocks = -(-found.st_size // _BLOCK_BYTES) + 1  # and that of its folder
            yield _File(found.st_mtime, blocks * _BLOCK_BYTES, path)


def _remove_empty(folder: Path, before: float) -> None:
    """Folders that have been empty for a while; one that was just made is about to be filled."""
    for entry in os.scandir(folder) if folder.exists() else ():
        try:
            if entry.is_dir(follow_symlinks=False) and entry.stat().st_mtime < before:
                Path(entry.path).rmdir()
        except OSError:  # not empty, or gone
            continue
