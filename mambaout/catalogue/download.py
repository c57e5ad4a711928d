"""Download one file over https, resumed after a cut.

For release files that are not on the Hugging Face Hub (those go through its own client, see
`mambaout.catalogue.hub`). The bytes go to `<target>.part`, which survives a cut, an error and a
restart of the program; the target appears only when it is complete.
"""

from __future__ import annotations

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mambaout.catalogue.hashing import file_sha256
from mambaout.errors import CheckpointError, Sentence, WeightsUnavailable, said_by

Progress = Callable[[int, "int | None"], None]  # bytes so far, bytes in total if known

_BLOCK = 1 << 18
_TIMEOUT_SECONDS = 20.0
# A connection that brings less than this before it breaks counts as a failed attempt.
_WORTH_RETRYING = 1 << 20
_TRANSIENT_STATUS = (408, 425, 429, 500, 502, 503, 504)


class _Cut(Exception):
    """The connection broke; what has arrived is kept."""


class _SecureRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, hdrs: Any, url: str) -> Any:
        _check_scheme(url)
        return super().redirect_request(req, fp, code, msg, hdrs, url)


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    attempts: int = 5,
    pause: float = 0.5,
) -> None:
    """Download `url` to `target`, going on where an earlier try stopped.

    Args:
        url: an https address (http only on this machine itself).
        target: where the complete file appears; its directory exists.
        sha256: 64 hexadecimal digits the file must have, if known.
        size: bytes the file must have, if known.
        progress: called with the bytes that have arrived and the total.
        attempts: failed connections in a row before giving up.
        pause: seconds before the second connection, doubled after every further one.

    Raises:
        WeightsUnavailable: the server cannot be reached, does not have the file, or keeps failing.
        CheckpointError: what arrived is not the file that was promised.
    """
    _check_scheme(url)
    part = target.with_name(f"{target.name}.part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _receive(url, part, size, progress)
            break
        except _Cut as cut:
            failures = 1 if _size(part) - before >= _WORTH_RETRYING else failures + 1
            if failures >= attempts:
                raise WeightsUnavailable(
                    Sentence(
                        "The download of {url} failed {count} times in a row ({reason}). {bytes} "
                        "bytes are kept: trying again later goes on from there.",
                        url=url,
                        count=failures,
                        reason=said_by(cut),
                        bytes=f"{_size(part):,}",
                    )
                ) from cut
            time.sleep(min(pause * 2 ** (failures - 1), 8.0))
    if sha256 is not None and file_sha256(part) != sha256.lower():
        _forget(part)
        raise CheckpointError(
            Sentence(
                "The file from {url} is not the expected one (its SHA-256 differs). It was "
                "deleted.",
                url=url,
            )
        )
    part.replace(target)
    _forget(part)


def _receive(url: str, part: Path, size: int | None, progress: Progress | None) -> None:
    """One connection: append to `part` until it is complete, or raise `_Cut`."""
    have = _size(part)
    headers = {"User-Agent": "mambaout", "Accept-Encoding": "identity"}
    version = _version_file(part)
    if have and version.is_file():
        # If-Range makes the server send the whole file when it is no longer the same one.
        headers |= {"Range": f"bytes={have}-", "If-Range": version.read_text(encoding="ascii")}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - _check_scheme
    opener = urllib.request.build_opener(_SecureRedirects)
    try:
        response = opener.open(request, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # our part is longer than the file: it belongs to another one
            _forget(part)
            raise _Cut(Sentence("the kept part did not fit")) from error
        if error.code in _TRANSIENT_STATUS:
            raise _Cut(Sentence("the server answered {status}", status=error.code)) from error
        raise WeightsUnavailable(
            Sentence("The server answered {status} for {url}.", status=error.code, url=url)
        ) from error
    except (http.client.HTTPException, OSError) as error:
        raise _Cut(
            Sentence("no connection: {reason}", reason=str(getattr(error, "reason", error)))
        ) from error
    with response:
        start = _start(response) if response.status == 206 else 0
        total = start + _length(response, url)
        if start not in {0, have}:
            raise WeightsUnavailable(
                Sentence(
                    "{url}: asked for bytes from {have}, got them from {start}.",
                    url=url,
                    have=have,
                    start=start,
                )
            )
        if size is not None and total != size:
            raise CheckpointError(
                Sentence(
                    "The file at {url} has {total} bytes, expected {size}.",
                    url=url,
                    total=f"{total:,}",
                    size=f"{size:,}",
                )
            )
        _remember_version(part, response)
        _append(response, part, start, total, progress)


def _append(response: Any, part: Path, start: int, total: int, progress: Progress | None) -> None:
    arrived = start
    with part.open("r+b" if start else "wb") as file:
        file.seek(start)
        while arrived < total:
            if progress is not None:
                progress(arrived, total)
            try:
                block = response.read(min(_BLOCK, total - arrived))
            except (http.client.HTTPException, OSError) as error:
                raise _Cut(Sentence("cut after {arrived} bytes", arrived=f"{arrived:,}")) from error
            if not block:
                raise _Cut(
                    Sentence(
                        "cut after {arrived} of {total} bytes",
                        arrived=f"{arrived:,}",
                        total=f"{total:,}",
                    )
                )
            file.write(block)
            arrived += len(block)
    if progress is not None:
        progress(arrived, total)


def _remember_version(part: Path, response: Any) -> None:
    tag = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if tag and not tag.startswith("W/"):  # a weak tag may not be used to resume
        _version_file(part).write_text(tag, encoding="ascii")
    else:
        _version_file(part).unlink(missing_ok=True)


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _version_file(part).unlink(missing_ok=True)


def _start(response: Any) -> int:
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else 0


def _length(response: Any, url: str) -> int:
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal():
        raise WeightsUnavailable(Sentence("The server does not say how long {url} is.", url=url))
    return int(length)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check_scheme(url: str) -> None:
    parts = urllib.parse.urlsplit(url)
    local = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if parts.scheme != "https" and not local:
        raise WeightsUnavailable(
            Sentence("{url}: weights are only downloaded over https.", url=url)
        )
