"""The limits, over HTTP, as a client on the other side of a socket meets them."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time

import pytest
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

from app.limits import MAX_MESSAGE_BYTES, MAX_UPLOAD_BYTES, local_hosts, middleware

MESSAGE, UPLOAD = 1000, 5000  # ceilings of these tests [bytes]
ROUTES = {"/gradio_api/call/compare": MESSAGE, "/gradio_api/upload": UPLOAD}


@contextlib.contextmanager
def serving(allowed_hosts):
    """The port of a small application behind the limits, on this machine."""
    application = FastAPI(
        middleware=middleware(allowed_hosts, max_message_bytes=MESSAGE, max_upload_bytes=UPLOAD)
    )

    @application.post("/gradio_api/call/compare")
    async def call(request: Request) -> dict:
        return {"received": len(await request.body())}

    @application.post("/gradio_api/upload")
    async def upload(request: Request) -> dict:
        received = 0
        async for part in request.stream():
            received += len(part)
        return {"received": received}

    @application.post("/parsed")
    async def parsed(body: dict) -> dict:
        return {"received": len(json.dumps(body))}

    @application.post("/answers_early")
    async def answers_early(request: Request) -> StreamingResponse:
        return StreamingResponse(iter(["early"]))

    @application.get("/")
    async def page() -> str:
        return "page"

    @application.get("/broken")
    async def broken() -> str:
        raise RuntimeError("a fault of the application")

    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(application, log_level="critical"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="module")
def local():
    with serving(local_hosts("127.0.0.1")) as port:
        yield port


@pytest.fixture(scope="module")
def public():
    with serving(None) as port:
        yield port


def ask(port, method, path, body=None, **headers):
    """Status, headers and body of the answer; an iterable body is sent in chunks."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def in_chunks(size, step=997):
    return iter([bytes(min(step, size - at)) for at in range(0, size, step)])


@pytest.mark.parametrize(("route", "ceiling"), ROUTES.items(), ids=["message", "upload"])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
@pytest.mark.parametrize("surplus", [-1, 0, 1, 1_000_000])
def test_bodies_are_accepted_up_to_the_ceiling(route, ceiling, announced, surplus, public):
    size = ceiling + surplus
    body = bytes(size) if announced else in_chunks(size)
    status, _, answer = ask(public, "POST", route, body)
    if surplus <= 0:
        assert (status, json.loads(answer)) == (200, {"received": size})
    else:
        assert status == 413
        assert str(ceiling) in answer.decode()


def test_an_upload_is_not_a_message(public):
    body = bytes(MESSAGE + 1)
    assert ask(public, "POST", "/gradio_api/upload", body)[0] == 200
    assert ask(public, "POST", "/gradio_api/call/compare", body)[0] == 413
    assert ask(public, "POST", "/gradio_api/upload/../call/compare", body)[0] == 413
    assert ask(public, "POST", "/gradio_api/call/compare?x=/gradio_api/upload", body)[0] == 413


def test_a_body_that_is_announced_too_large_is_not_waited_for(public):
    with socket.create_connection(("127.0.0.1", public), timeout=20) as client:
        client.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"
            b"Content-Length: 1000000000000\r\n\r\n"
        )
        answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_the_answer_is_whole_while_the_client_is_still_there(public):
    """A client that waits for the end of the connection, as HTTP/1.0 does, sees it end."""
    message = b"POST /gradio_api/call/compare HTTP/1.1\r\nHost: localhost\r\n"
    chunk = b"%x\r\n%s\r\n" % (MESSAGE + 1, bytes(MESSAGE + 1))
    for body in (
        b"Content-Length: %d\r\n\r\n%s" % (MESSAGE + 1, bytes(MESSAGE + 1)),
        b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"0\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", public), timeout=20) as client:
            client.sendall(message + body)
            answer = b"".join(iter(lambda: client.recv(1000), b""))
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert answer.endswith(b" bytes that are accepted.")


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_413_also_where_the_framework_has_an_answer_of_its_own(announced, public):
    document = json.dumps({"a": "x" * 3000}).encode()
    body = document if announced else iter([document])
    header = {"Content-Type": "application/json"}
    assert ask(public, "POST", "/parsed", b'{"a": 1}', **header)[0] == 200
    assert ask(public, "POST", "/parsed", b"not json", **header)[0] == 422
    assert ask(public, "POST", "/parsed", body, **header)[0] == 413


def test_an_answer_under_way_is_not_interrupted(public):
    status, _, answer = ask(public, "POST", "/answers_early", bytes(MESSAGE))
    assert (status, answer) == (200, b"early")


def test_the_next_request_is_answered(public):
    connection = http.client.HTTPConnection("127.0.0.1", public, timeout=20)
    for size, status in ((MESSAGE + 1, 413), (MESSAGE, 200), (MESSAGE + 1, 413), (0, 200)):
        connection.request("POST", "/gradio_api/call/compare", bytes(size))
        answer = connection.getresponse()
        answer.read()
        assert answer.status == status
    connection.close()


def test_faults_of_the_application_stay_its_own(public):
    assert ask(public, "GET", "/broken")[0] == 500


@pytest.mark.parametrize(
    ("method", "path", "size", "status"),
    [
        ("GET", "/", 0, 200),
        ("GET", "/missing", 0, 404),
        ("POST", "/gradio_api/call/compare", MESSAGE + 1, 413),
    ],
)
def test_headers(method, path, size, status, public):
    answered, headers, _ = ask(public, method, path, bytes(size))
    assert answered == status
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


OWN_NAMES = ["localhost", "LOCALHOST:7860", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:7860"]
FOREIGN_NAMES = [
    "evil.example", "evil.example:7860", "localhost.evil.example", "127.0.0.1.evil.example",
    "localhost:7860.evil.example", "192.168.1.5", "0.0.0.0", "", "[::2]:7860", "localhost:",
    "::1", "a@localhost",
]  # fmt: skip


@pytest.mark.parametrize("host", OWN_NAMES)
def test_this_machine_may_ask(host, local):
    assert ask(local, "GET", "/", Host=host)[0] == 200


@pytest.mark.parametrize("host", FOREIGN_NAMES)
def test_a_name_of_somebody_else_is_refused(host, local, public):
    status, headers, answer = ask(local, "GET", "/", Host=host)
    assert status == 421
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert b"--host" in answer
    assert ask(public, "GET", "/", Host=host)[0] == 200


def test_a_request_without_a_host_is_refused(local, public):
    for port, status in ((local, b" 421 "), (public, b" 200 ")):
        with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert status in client.recv(1000).splitlines()[0]


@pytest.mark.parametrize(
    "name", [None, "", "localhost", "LOCALHOST", "127.0.0.1", "::1", "[::1]", "127.0.0.53"]
)
def test_a_page_for_this_machine_has_names(name, monkeypatch):
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    assert local_hosts(name) >= {"localhost", "127.0.0.1", "::1"}


@pytest.mark.parametrize("name", ["0.0.0.0", "::", "[::]", "192.168.1.5", "my-machine.local"])
def test_a_page_for_others_has_any_name(name, monkeypatch):
    monkeypatch.delenv("GRADIO_SERVER_NAME", raising=False)
    assert local_hosts(name) is None
    monkeypatch.setenv("GRADIO_SERVER_NAME", name)
    assert local_hosts(None) is None
    assert local_hosts("127.0.0.1") is not None


def test_a_folder_of_pictures_fits_and_a_message_does_not_need_more():
    assert MAX_MESSAGE_BYTES == 2**20
    assert MAX_UPLOAD_BYTES > 100 * MAX_MESSAGE_BYTES
