"""A real HTTP server on this machine for what the Hub and release pages serve, faults included."""

from __future__ import annotations

import hashlib
import re
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_HUB_PATH = re.compile(r"/[^/]+/[^/]+/resolve/[^/]+/.+")


class _Http(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Clients may hang up, and do."""


@dataclass
class FileServer:
    """Serves `files` by path; counts what it sends.

    cut: bytes after which the body of each of the next GET answers ends, the connection closed.
    fail: status codes of the next answers, whatever was asked for.
    ranges: whether the server knows the Range header.
    lengths: whether it says how long a body is.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    cut: list[int] = field(default_factory=list)
    fail: list[int] = field(default_factory=list)
    ranges: bool = True
    lengths: bool = True
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    sent: int = 0

    def __enter__(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self):
                server.answer(self, body=False)

            def do_GET(self):
                server.answer(self, body=True)

            def log_message(self, *args):
                pass

        self._http = _Http(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        return self

    def __exit__(self, *exc):
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    @property
    def gets(self):
        return [entry for entry in self.requests if entry[0] == "GET"]

    def answer(self, request, *, body):
        path = urllib.parse.unquote(request.path)
        asked = request.headers.get("Range")
        self.requests.append((request.command, path, asked))
        if path in self.redirects:
            self._head(request, 302, {"Location": self.redirects[path], "Content-Length": "0"})
        elif self.fail:
            self._head(request, self.fail.pop(0), {"Content-Length": "0"})
        elif path not in self.files:
            missing = {"X-Error-Code": "EntryNotFound", "Content-Length": "0"}
            self._head(request, 404, missing)
        else:
            self._file(request, path, asked, body)

    def _file(self, request, path, asked, body):
        content = self.files[path]
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        if _HUB_PATH.fullmatch(path):
            headers["X-Repo-Commit"] = COMMIT
        start, status = 0, 200
        same = request.headers.get("If-Range", etag) == etag
        if asked and self.ranges and same:
            start, status = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]), 206
            if start >= len(content):
                self._head(request, 416, {"Content-Length": "0"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if self.lengths:
            headers["Content-Length"] = str(len(content) - start)
        else:
            headers["Connection"] = "close"
        self._head(request, status, headers)
        if body:
            stop = start + self.cut.pop(0) if self.cut else len(content)
            piece = content[start:stop]
            self.sent += len(piece)
            request.wfile.write(piece)
            request.close_connection = stop < len(content) or not self.lengths

    @staticmethod
    def _head(request, status, headers):
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.end_headers()
