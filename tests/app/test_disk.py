"""What visitors may have on the disk: the oldest goes, what would not fit is refused."""

from __future__ import annotations

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app import disk
from app.catalogues import catalogue
from app.disk import NO_ROOM, FolderBound
from app.limits import middleware

BLOCK = 4096
FILE = 2 * BLOCK  # what a file of one block counts for, with its folder


def put(folder, name, age=0.0, size=BLOCK):
    """A file as gradio stores uploads, last changed `age` seconds ago."""
    path = folder / name / "picture.png"
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(size))
    for at in (path, path.parent):
        os.utime(at, (time.time() - age,) * 2)
    return path


def test_the_oldest_make_room_and_the_young_and_the_pages_own_stay(tmp_path):
    own = put(tmp_path, "own", age=9000)
    bound = FolderBound(tmp_path, 4 * FILE)
    old, older, young = put(tmp_path, "a", 700), put(tmp_path, "b", 800), put(tmp_path, "c", 10)
    assert bound.let_in(FILE)  # four fit
    bound.arrived(FILE)
    assert old.exists()
    assert older.exists()
    put(tmp_path, "d")
    assert bound.let_in(FILE)
    assert not older.exists()
    assert old.exists()
    assert bound.let_in(FILE)
    assert not old.exists()
    assert not bound.let_in(FILE)  # two on the disk, two on their way, none of them old
    bound.arrived(FILE)
    bound.arrived(FILE)
    assert young.exists()
    assert own.exists()


def test_what_did_not_come_makes_room_again_at_the_next_look(tmp_path, monkeypatch):
    bound = FolderBound(tmp_path, FILE)
    assert bound.let_in(FILE)
    assert not bound.let_in(1)
    bound.arrived(FILE)  # said so, but the client hung up
    assert bound.let_in(FILE)


def test_many_at_once_never_pass_the_ceiling(tmp_path):
    bound = FolderBound(tmp_path, 10 * FILE)

    def upload(number):
        if not bound.let_in(FILE):
            return False
        put(tmp_path, str(number))
        bound.arrived(FILE)
        return True

    with ThreadPoolExecutor(16) as clients:
        taken = [*clients.map(upload, range(100))]
    assert sum(taken) == 10
    assert len([*tmp_path.glob("*/*")]) == 10


def test_what_handlers_write_is_bounded_too(tmp_path, monkeypatch):
    monkeypatch.setattr(disk, "_LOOK_SECONDS", 0)
    bound = FolderBound(tmp_path, 3 * FILE)
    for number in range(500):
        put(tmp_path, str(number), age=1000 - number)
        if number % 50 == 0:
            bound.look()
    bound.look()
    left = sorted(path.parent.name for path in tmp_path.glob("*/*"))
    assert left == ["497", "498", "499"]
    assert bound.is_time()


def test_empty_folders_go_but_not_at_once(tmp_path):
    path = put(tmp_path, "a", age=1000)
    (tmp_path / "just made").mkdir()
    bound = FolderBound(tmp_path / "nothing yet", FILE)
    assert bound.let_in(1)
    bound = FolderBound(tmp_path, 0)
    path.unlink()
    os.utime(path.parent, (time.time() - 1000,) * 2)
    assert not bound.let_in(1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["just made"]


def test_a_full_disk_is_a_full_folder(tmp_path, monkeypatch):
    class Full:
        free = disk._SPARE_BYTES

    bound = FolderBound(tmp_path, 100 * FILE)
    assert bound.let_in(FILE)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: Full)
    assert not bound.let_in(1)


@pytest.fixture
def client(tmp_path, monkeypatch):
    """Asks a small application behind the limits, whose uploads lie in `tmp_path`."""
    monkeypatch.setattr(disk, "get_upload_folder", lambda: str(tmp_path))

    async def upload(request):
        body = await request.body()
        put(tmp_path, uuid.uuid4().hex, size=len(body))
        return PlainTextResponse("taken")

    async def page(request):
        return PlainTextResponse("page")

    routes = [Route("/gradio_api/upload", upload, methods=["POST"]), Route("/", page)]
    limits = middleware(None, max_upload_bytes=20 * FILE, max_folder_bytes=4 * FILE)
    application = Starlette(routes=routes, middleware=limits)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(application), base_url="http://localhost"
    )


@pytest.mark.parametrize(("announced", "tag"), [(True, "en"), (False, "fr-CA")])
def test_an_upload_without_room_is_refused_in_words(client, tmp_path, announced, tag):
    import anyio

    async def chunks():
        yield bytes(BLOCK)

    async def visit():
        async with client:
            answers = [
                await client.post("/gradio_api/upload", content=bytes(BLOCK)) for _ in range(7)
            ]
            last = await client.post(
                "/gradio_api/upload",
                content=bytes(2 * BLOCK) if announced else chunks(),
                headers={"accept-language": tag},
            )
            return answers, last, await client.get("/")

    answers, last, page = anyio.run(visit)
    taken = [answer.status_code for answer in answers]
    assert taken == sorted(taken)
    assert {*taken} == {200, 507}
    assert last.status_code == 507
    assert last.text == catalogue(tag[:2]).one(NO_ROOM)
    assert (last.text == NO_ROOM) == (tag == "en")
    assert last.headers["x-content-type-options"] == "nosniff"
    assert page.text == "page"
    assert len([*tmp_path.glob("*/*")]) == taken.count(200)
