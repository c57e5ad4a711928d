"""What the server accepts over HTTP, before gradio looks at it.

For ``demo.launch(app_kwargs={"middleware": middleware(local_hosts(server_name))})``.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.disk import MAX_FOLDER_BYTES, DiskBound
from app.language import noted, speaking, tr
from app.not_found import NotFound
from app.visitor_language import language_of

MAX_MESSAGE_BYTES: Final = 2**20  # an event of the page is a few kB; pictures are uploads
MAX_UPLOAD_BYTES: Final = 512 * 2**20  # one request may bring a folder of pictures

_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
TOO_LARGE: Final = noted("This request is larger than the {most} bytes that are accepted.")
_UPLOAD_ROUTE: Final = "/gradio_api/upload"
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FILE_AT_AN_ADDRESS: Final = re.compile(r"/file=https?:", re.IGNORECASE)
_MOST_DISCARDED_BYTES: Final = 16 * 2**20


def middleware(
    allowed_hosts: Collection[str] | None,
    *,
    max_message_bytes: int = MAX_MESSAGE_BYTES,
    max_upload_bytes: int = MAX_UPLOAD_BYTES,
    max_folder_bytes: int = MAX_FOLDER_BYTES,
) -> list[Middleware]:
    """What every request passes, in the form that starlette and ``launch(app_kwargs=...)`` take."""
    return [
        Middleware(
            RequestLimits,
            allowed_hosts=allowed_hosts,
            max_message_bytes=max_message_bytes,
            max_upload_bytes=max_upload_bytes,
        ),
        Middleware(
            DiskBound,
            upload_route=_UPLOAD_ROUTE,
            unannounced=max_upload_bytes,
            ceiling=max_folder_bytes,
        ),
        Middleware(NotFound),
    ]


def local_hosts(server_name: str | None) -> frozenset[str] | None:
    """The names under which a page that listens on ``server_name`` may be asked for.

    A page that only this machine can reach answers to this machine's names, so that a web site
    cannot reach it through a name of its own that points here (DNS rebinding). A page that
    listens to others cannot know its names, and gets None: every name.

    Args:
        server_name: as in ``launch``; None is what gradio makes of it: the variable
            ``GRADIO_SERVER_NAME``, else this machine.
    """
    name = server_name or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    name = name.strip("[]").lower()
    if name in _LOCAL_NAMES:
        return _LOCAL_NAMES
    try:
        return _LOCAL_NAMES | {name} if ipaddress.ip_address(name).is_loopback else None
    except ValueError:
        return None


class RequestLimits:
    """ASGI middleware: a ceiling for request bodies, known hosts, plain addresses, two headers.

    Args:
        app: what answers the requests that pass.
        allowed_hosts: names that the Host header may hold, without port; None accepts all.
        max_message_bytes: ceiling for the body of a request, whether announced or not.
        max_upload_bytes: the same for gradio's upload route, whose ceiling per *file* is
            ``launch(max_file_size=...)``.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        allowed_hosts: Collection[str] | None,
        max_message_bytes: int,
        max_upload_bytes: int,
    ) -> None:
        self.app = app
        self.allowed_hosts = allowed_hosts
        self.max_message_bytes = max_message_bytes
        self.max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        send = _with_headers(send)
        headers = Headers(scope=scope)
        refusal = self._refusal(scope["path"], headers)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        upload = scope["path"].rstrip("/").endswith(_UPLOAD_ROUTE)
        ceiling = self.max_upload_bytes if upload else self.max_message_bytes
        await _CappedRequest(self.app, scope, ceiling, receive, send).answer()

    def _refusal(self, path: str, headers: Headers) -> PlainTextResponse | None:
        """The answer to a request that goes no further, whatever its body."""
        if self.allowed_hosts is not None and _host_name(headers) not in self.allowed_hosts:
            return PlainTextResponse(
                "This page answers to this machine only: open it as http://localhost, or start it "
                "with --host to let others in.",
                status_code=421,  # Misdirected Request (RFC 9110)
            )
        # gradio prints parts of addresses: a line of the log must not be a caller's
        if _CONTROL_CHARACTERS.search(path):
            return PlainTextResponse("This address holds control characters.", status_code=400)
        # gradio's route for files would fetch any public address for whoever asks, an open proxy
        if _FILE_AT_AN_ADDRESS.search(path):
            return PlainTextResponse("This page fetches nothing for others.", status_code=403)
        return None


class _BodyTooLarge(Exception):
    """Unwinds the application that was reading the body."""


class _CappedRequest:
    """One request whose body is counted while the application reads it."""

    def __init__(
        self, app: ASGIApp, scope: Scope, ceiling: int, receive: Receive, send: Send
    ) -> None:
        self._app, self._scope, self._ceiling = app, scope, ceiling
        self._receive, self._send = receive, send
        self._received = 0
        self._more_to_come = True
        self._exceeded = False
        self._answering = False

    async def answer(self) -> None:
        announced = Headers(scope=self._scope).get("content-length", "0")
        if announced.isdecimal() and int(announced) > self._ceiling:
            await self._refuse()
            return
        try:
            await self._app(self._scope, self._read, self._write)
        except Exception:  # _BodyTooLarge, or what the application made of it
            if not self._exceeded:
                raise
        if self._exceeded and not self._answering:
            await self._refuse()

    async def _read(self) -> Message:
        message = await self._receive()
        self._more_to_come = message.get("more_body", False)
        self._received += len(message.get("body", b""))
        if self._received > self._ceiling:
            self._exceeded = True
            raise _BodyTooLarge
        return message

    async def _write(self, message: Message) -> None:
        # A framework answers an error while reading with an error of its own: 413 says more.
        if self._exceeded and not self._answering:
            return
        self._answering = True
        await self._send(message)

    async def _refuse(self) -> None:
        with speaking(language_of(self._scope)):
            text = tr(TOO_LARGE, most=self._ceiling).encode()
        headers = {
            "content-type": "text/plain; charset=utf-8",
            "content-length": str(len(text)),
            "connection": "close",
        }
        await self._send(
            {
                "type": "http.response.start",
                "status": 413,
                "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            }
        )
        await self._send({"type": "http.response.body", "body": text, "more_body": True})
        await self._discard_the_rest()
        await self._send({"type": "http.response.body"})

    async def _discard_the_rest(self) -> None:
        """Read on for a while: the answer is lost on who still sends when the connection closes."""
        discarded = 0
        while self._more_to_come and discarded < _MOST_DISCARDED_BYTES:
            message = await self._receive()
            self._more_to_come = message.get("more_body", False)
            discarded += len(message.get("body", b""))


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            headers.setdefault("Referrer-Policy", "no-referrer")
        await send(message)

    return send_with_headers


def _host_name(headers: Headers) -> str | None:
    """The one host a request is for, without its port; None where it names several or none."""
    hosts = headers.getlist("host")
    if len(hosts) != 1:
        return None
    name, separator, port = hosts[0].lower().rpartition(":")
    if not separator or not port.isdecimal():  # no port; an IPv6 address has colons of its own
        name = hosts[0].lower()
    return name.removeprefix("[").removesuffix("]")
