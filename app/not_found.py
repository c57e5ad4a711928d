"""What gradio cannot find and meets with an exception: refused in words, not a bare 500."""

from __future__ import annotations

import errno
import re
from typing import Final

from gradio.route_utils import FnIndexInferError
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

NO_FUNCTION: Final = "There is no such function: /gradio_api/info lists those there are."
WRONG_ARGUMENTS: Final = "These are not its arguments: /gradio_api/info says which it takes."
NO_TEXT: Final = "This request is no JSON: it is not even text in UTF-8."
NAME_TOO_LONG: Final = "No file has a name as long as this."

_ASKS_A_FUNCTION: Final = re.compile(r"/gradio_api/(call|run|api|queue/join)(/|$)")
_ARGUMENTS_BY_NAME: Final = re.compile(r"/gradio_api/call/v2/")
_STREAMS: Final = re.compile(r"/gradio_api/(call|queue/data)(/|$)")


class NotFound:
    """ASGI middleware: what cannot be found gets a sentence, and leaves no traceback in the log."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            if begun:
                if not _told(error, scope["path"]):
                    raise
                await send({"type": "http.response.body"})
                return
            answer = _refusal(error, scope["path"])
            if answer is None:
                raise
            await answer(scope, receive, send)


def _refusal(error: Exception, path: str) -> PlainTextResponse | None:
    """The answer to who asked for something that is not there; None where that is not the fault."""
    if isinstance(error, FnIndexInferError) or _names_no_function(error, path):
        return PlainTextResponse(NO_FUNCTION, status_code=404)
    if isinstance(error, TypeError) and _ARGUMENTS_BY_NAME.search(path):
        return PlainTextResponse(WRONG_ARGUMENTS, status_code=400)
    if isinstance(error, UnicodeDecodeError):  # FastAPI would quote the body that it refuses
        return PlainTextResponse(NO_TEXT, status_code=400)
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return PlainTextResponse(NAME_TOO_LONG, status_code=414)  # URI Too Long (RFC 9110)
    return None


def _names_no_function(error: Exception, path: str) -> bool:
    """Whether a look-up of a function failed: by its number, or by its name with a slash."""
    if not isinstance(error, KeyError) or not _ASKS_A_FUNCTION.search(path):
        return False
    key = error.args[0] if error.args else None
    return isinstance(key, int) or key == "/" + path.rstrip("/").rpartition("/")[2]


def _told(error: Exception, path: str) -> bool:
    """Whether a stream of events ends because there is no such event, and has said so already."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    return (
        isinstance(error, HTTPException)
        and error.status_code == 404
        and _STREAMS.search(path) is not None
    )
