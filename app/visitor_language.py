"""Which language a visitor reads, decided once for the server and the browser.

By the address (``?lang=fr``), else by the cookie that such an address has left, else by the
languages that the browser asks for. The requests of the page arrive with that one language in
their ``Accept-Language``, and the page's HTML tells it to gradio's own words too, which take the
browser's language and know "zh-CN" and "zh-TW" but no "zh", "zh-HK" or "zh-Hans-CN".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.catalogues import LANGUAGES, SOURCE

_COOKIE = "mambaout_language"
_YEAR_SECONDS = 365 * 24 * 3600
_TRADITIONAL = frozenset({"hant", "tw", "hk", "mo"})


class VisitorLanguage:
    """ASGI middleware that settles the language of every request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked, tag = _asked(scope), language_of(scope)
        kept = [pair for pair in scope["headers"] if pair[0] != b"accept-language"]
        settled = {**scope, "headers": [*kept, (b"accept-language", tag.encode())]}
        secure = scope.get("scheme") == "https"
        await self.app(settled, receive, _telling(send, tag, asked is not None, secure))


def language_of(scope: Scope) -> str:
    """The language that whoever sends a request reads."""
    headers = Headers(scope=scope)
    return _asked(scope) or _chosen(headers) or accepted(headers)


def accepted(headers: Mapping[str, str]) -> str:
    """The best of our languages by an Accept-Language header (RFC 9110); English if it has none."""
    wanted: list[tuple[float, str]] = []
    for part in headers.get("accept-language", "").split(","):
        name, _, parameter = part.strip().partition(";")
        quality = re.fullmatch(r"\s*q=([01](?:\.\d{0,3})?)\s*", parameter)
        tag = ours(name)
        if tag is not None and (quality or not parameter):
            wanted.append((float(quality.group(1)) if quality else 1.0, tag))
    best = max(wanted, key=lambda pair: pair[0], default=(0.0, SOURCE))  # the first of equals
    return best[1] if best[0] > 0 else SOURCE


def ours(name: str) -> str | None:
    """The language of the page that a tag (BCP 47) stands for; None if it is none of them."""
    parts = name.strip().lower().replace("_", "-").split("-")
    if parts[0] == "zh":
        traditional = "hans" not in parts and not _TRADITIONAL.isdisjoint(parts)
        return "zh-TW" if traditional else "zh-CN"
    return parts[0] if parts[0] in LANGUAGES else None


def _asked(scope: Scope) -> str | None:
    values = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("lang", [])
    return ours(values[-1]) if values else None


def _chosen(headers: Headers) -> str | None:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(_COOKIE)
    except CookieError:
        return None
    return ours(morsel.value) if morsel else None


def _telling(send: Send, tag: str, remember: bool, secure: bool) -> Send:
    """Send HTML with its language, and the cookie where the address named one."""
    waiting: list[Message] = []  # the head of an HTML answer, until its first part has come

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if not headers.get("content-type", "").startswith("text/html"):
                await send(message)
                return
            headers.add_vary_header("Accept-Language, Cookie")
            if remember:
                headers.append("set-cookie", _cookie(tag, secure))
            waiting.append(message)
            return
        if waiting:
            start = waiting.pop()
            headers, before = MutableHeaders(scope=start), len(message.get("body", b""))
            body = _marked(message.get("body", b""), tag)
            if "content-length" in headers:
                longer = len(body) - before
                headers["content-length"] = str(int(headers["content-length"]) + longer)
            message = {**message, "body": body}
            await send(start)
        await send(message)

    return told


def _marked(body: bytes, tag: str) -> bytes:
    """The page's first bytes, with its language for screen readers and for gradio's script."""
    script = f'<script>Object.defineProperty(navigator, "language", {{ value: "{tag}" }});</script>'
    body = body.replace(b'lang="en"', f'lang="{tag}"'.encode(), 1)
    return body.replace(b"<head>", f"<head>{script}".encode(), 1)


def _cookie(tag: str, secure: bool) -> str:
    """Of no use to anybody but this page; inside another site's frame only where it is safe."""
    where = "SameSite=None; Secure; Partitioned" if secure else "SameSite=Lax"
    return f"{_COOKIE}={tag}; Path=/; Max-Age={_YEAR_SECONDS}; HttpOnly; {where}"
