"""Requests that no visitor would make, drawn by chance: what they open, how they are answered."""

from __future__ import annotations

import os
import random
import sys
import sysconfig
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from gradio import routes
from gradio.utils import get_upload_folder
from PIL import Image
from starlette.responses import Response

from app.not_found import NAME_TOO_LONG, NO_FUNCTION, WRONG_ARGUMENTS
from app.store import DEFAULT_PAIR
from tests.app.serving import META, Caller, launched, png

ROOT = Path(__file__).parents[2]
MAMBAOUT, VIM = DEFAULT_PAIR
SECONDS = 20  # until an answer counts as one that never comes
CALLS, ADDRESSES = 150, 300

ARGUMENTS = {
    "classify": (MAMBAOUT, "bidirectional", 5),
    "compare": (MAMBAOUT, VIM, "bidirectional", "gradcam"),
    "mixing": (VIM, "gradcam"),
    "token_reads": (VIM, "bidirectional", "", "scan", None, None),
    "models": (),
}
VALUES = (
    None, True, -1, 2**63, 1e308, "", "/etc/passwd", "<img src=x onerror=alert(1)>", "${alert(1)}",
    "\0", "é" * 5000, [], {}, [[[]]], {"path": None}, {"__type__": "update"},
)  # fmt: skip
STEMS = (
    "/", "/gradio_api/", "/gradio_api/file=", "/gradio_api/call/", "/gradio_api/call/classify/",
    "/gradio_api/call/v2/", "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/run/",
    "/gradio_api/upload", "/gradio_api/upload_progress", "/gradio_api/stream/", "/config",
    "/static/", "/assets/", "/svelte/", "/theme.css", "/custom_component/", "/proxy=",
    "/gradio_api/component_server", "/gradio_api/reset", "/gradio_api/cancel", "/login",
)  # fmt: skip
PIECES = (
    "..", "%2e%2e", "%2f", "%00", "//", "etc/passwd", "/etc/passwd", "app.py", "http://127.0.0.1:1/",
    "?", "&a=b", "%ff%fe", "\u00e9", "a" * 3000, "-1", "{}", "%24%7B1%7D", ";", "image", "index.js",
)  # fmt: skip

STRANGE_JOIN = {"data": [], "fn_index": 10**9, "session_hash": "a"}

_hook = {"log": None}


def _note(event, args):
    log = _hook["log"]
    if log is not None and event == "open" and isinstance(args[0], str | bytes):
        log.append(os.fsdecode(args[0]))


sys.addaudithook(_note)  # cannot be taken away, so it is switched


@contextmanager
def watching():
    """What the server, which runs in this process, opens meanwhile."""
    opened = _hook["log"] = []
    try:
        yield opened
    finally:
        _hook["log"] = None


@pytest.fixture(scope="module")
def caller(store):
    with launched(store) as address, Caller(address, SECONDS) as caller:
        # What is made once, by whoever comes first, is no caller's doing.
        sound = caller.upload(png(Image.radial_gradient("L")))
        for endpoint, rest in ARGUMENTS.items():
            values = (sound, *rest) if rest else ()
            assert caller.call(endpoint, *values)[0] == "complete"
        yield caller


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A sound picture that was not uploaded, in a folder that nothing else uses."""
    path = tmp_path_factory.mktemp("secret") / "canary.png"
    path.write_bytes(png(Image.radial_gradient("L")))
    return path


def forged(path, draw):
    """A payload that claims to be an upload."""
    claims = {"meta": META, "url": path, "orig_name": path, "size": -1, "is_stream": True}
    return {"path": path} | {k: v for k, v in claims.items() if draw.random() < 0.5}


def test_no_payload_opens_a_file_of_the_machine(caller, secret):
    # the watch sees what the server opens for an upload, and would see the secret
    with watching() as opened:
        sound = caller.upload(png(Image.linear_gradient("L")))
        assert caller.call("classify", sound, *ARGUMENTS["classify"])[0] == "complete"
        secret.read_bytes()
    assert {sound["path"], str(secret)} <= {*opened}

    uploads = get_upload_folder()
    targets = (
        str(secret), "/etc/passwd", str(ROOT / "app.py"), "app.py", f"file://{secret}",
        f"{uploads}/../{secret}", f"{uploads}/{os.path.relpath(secret, uploads)}",
    )  # fmt: skip
    draw = random.Random(20)
    refused = 0
    with watching() as opened:
        for _ in range(CALLS):
            endpoint = draw.choice([*ARGUMENTS])
            values = [forged(draw.choice(targets), draw), *ARGUMENTS[endpoint]]
            if draw.random() < 0.4:
                values[draw.randrange(len(values))] = draw.choice(VALUES)
            if draw.random() < 0.1:
                values = values[: draw.randrange(len(values) + 1)]
            began = time.monotonic()
            how, said = caller.call(endpoint, *values)
            assert time.monotonic() - began < SECONDS
            assert not how.startswith("5"), (endpoint, values, said)
            assert "root:" not in str(said)
            assert endpoint == "models" or how != "complete", (endpoint, values)
            refused += how != "complete"
    assert refused > CALLS / 2
    forbidden = {str(secret), "/etc/passwd", str(ROOT / "app.py")}
    real = {os.path.realpath(path) for path in opened}
    assert not forbidden & real
    ours = [ROOT, uploads, tempfile.gettempdir(), *sysconfig.get_paths().values(),
            "/proc", "/dev"]  # fmt: skip
    ours = [os.path.realpath(folder) for folder in ours]
    assert not [path for path in real if not any(Path(path).is_relative_to(o) for o in ours)]


def test_no_address_brings_the_server_down(caller, capfd):
    draw = random.Random(22)
    seen = set()
    for _ in range(ADDRESSES):
        address = draw.choice(STEMS) + "".join(draw.choices(PIECES, k=draw.randrange(4)))
        method = draw.choice(["GET", "GET", "POST", "HEAD", "PUT", "DELETE"])
        body = draw.choice([b"", b"{", b"[]", b'{"data": {}}', b'{"data": [1]}', b"\xff" * 99])
        kind = draw.choice(["application/json", "multipart/form-data", "text/plain"])
        # uvicorn hangs up after a 500: a connection for each, so that none is met half closed
        headers = {"Content-Type": kind, "Connection": "close"}
        # Some routes are streams: how they begin is the answer, and then we hang up.
        with caller.http.stream(
            method, caller.address + address, content=body, headers=headers
        ) as answer:
            assert answer.status_code < 500, (method, address, answer.read())
            seen.add(answer.status_code)
            assert answer.headers["x-content-type-options"] == "nosniff"
    assert {200, 404, 405, 414} <= seen
    assert caller.call("models")[0] == "complete"
    assert "Traceback" not in "".join(capfd.readouterr())


@pytest.mark.parametrize(
    ("method", "address", "body", "status", "sentence"),
    [
        ("POST", "/gradio_api/call/nothing", {"data": []}, 404, NO_FUNCTION),
        ("POST", "/gradio_api/call/v2/nothing", {}, 404, NO_FUNCTION),
        ("POST", "/gradio_api/run/nothing", {"data": []}, 404, NO_FUNCTION),
        ("POST", "/gradio_api/api/nothing/", {"data": []}, 404, NO_FUNCTION),
        ("POST", "/gradio_api/run/models", {"data": [], "fn_index": 10**9}, 404, NO_FUNCTION),
        ("POST", "/gradio_api/queue/join", STRANGE_JOIN, 404, NO_FUNCTION),
        ("POST", "/gradio_api/call/v2/classify", {}, 400, WRONG_ARGUMENTS),
        ("POST", "/gradio_api/call/v2/classify", {"url": 1}, 400, WRONG_ARGUMENTS),
        ("GET", "/assets/" + "a" * 300, None, 414, NAME_TOO_LONG),
        ("GET", "/static/" + "a" * 300, None, 414, NAME_TOO_LONG),
        ("GET", "/gradio_api/call/classify/nothing", None, 200, "Not Found"),
        ("GET", "/gradio_api/queue/data?session_hash=nobody", None, 200, "Not Found"),
        ("GET", "/gradio_api/custom_component/a/b/c/%0Aforged", None, 400, "control characters"),
    ],
)
def test_what_is_not_there_is_refused_in_words(
    method, address, body, status, sentence, caller, capfd
):
    answer = caller.http.request(method, caller.address + address, json=body)
    assert answer.status_code == status
    assert sentence in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert caller.call("models")[0] == "complete"  # on the same connection
    said = "".join(capfd.readouterr())
    assert "Traceback" not in said
    assert "forged" not in said


@pytest.mark.parametrize("name", ["page.html", "drawing.svg", "<img src=x onerror=alert(1)>.html"])
def test_an_upload_that_is_a_page_is_handed_out_as_a_file(name, caller):
    program = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    path = caller.upload(program, name)["path"]
    answer = httpx.get(f"{caller.address}/gradio_api/file={path}", timeout=SECONDS)
    assert answer.content == program
    assert answer.headers["content-disposition"].startswith("attachment")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/a.png",
        "https://example.org/a.png",
        "HTTP%3A%2F%2Fexample.org",
        "%68ttp://a.example",
    ],
)
def test_the_file_route_is_no_proxy(method, address, caller, monkeypatch):
    fetched = []

    async def fetch(url, request):
        fetched.append(url)
        return Response("fetched")

    monkeypatch.setattr(routes, "secure_url_stream_response", fetch)
    answer = caller.http.request(method, f"{caller.address}/gradio_api/file={address}")
    assert answer.status_code == 403
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert not fetched
