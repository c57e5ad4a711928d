"""One language for each request, found in the address, the cookie or the browser's wishes."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from app.visitor_language import VisitorLanguage, accepted, ours

PAGE = '<!doctype html>\n<html\n\tlang="en">\n<head>\n<title lang="en">x</title></head></html>'


async def page(request):
    return HTMLResponse(PAGE)


async def heard(request):
    return PlainTextResponse(request.headers.getlist("accept-language")[-1])


@pytest.fixture
def client():
    routes = [Route("/", page), Route("/heard", heard)]
    app = Starlette(routes=routes, middleware=[Middleware(VisitorLanguage)])
    with TestClient(app) as opened:
        yield opened


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("", "en"),
        ("de", "en"),
        ("fr-CA,fr;q=0.9", "fr"),
        ("de-DE,de;q=0.9,fr;q=0.5,en;q=0.3", "fr"),
        ("en-GB,en;q=0.9,fr;q=0.8", "en"),
        ("en;q=0.2,zh;q=0.7", "zh-CN"),
        ("zh-HK", "zh-TW"),
        ("zh-Hans-HK", "zh-CN"),
        ("zh-Hant", "zh-TW"),
        ("zh-SG", "zh-CN"),
        ("zh-MO;q=0.1", "zh-TW"),
        ("fr;q=0", "en"),
        ("fr;q=none, zh_TW", "zh-TW"),
        ("*, \x00;;q=1, " + "a-" * 1000, "en"),
    ],
)
def test_the_best_of_our_languages_is_taken(header, tag):
    assert accepted({"accept-language": header}) == tag


@pytest.mark.parametrize(("name", "tag"), [("ZH-tw", "zh-TW"), ("FR", "fr"), ("", None)])
def test_tags_are_read_however_they_are_written(name, tag):
    assert ours(name) == tag


def test_the_address_wins_and_is_remembered(client):
    french = {"accept-language": "fr"}
    assert client.get("/heard", headers=french).text == "fr"
    answer = client.get("/?lang=zh-HK", headers=french)
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert client.get("/heard", headers=french).text == "zh-TW"
    client.get("/?lang=en")
    assert client.get("/heard", headers=french).text == "en"


def test_an_unknown_language_changes_nothing(client):
    answer = client.get('/?lang="><script>', headers={"accept-language": "fr"})
    assert "set-cookie" not in answer.headers
    assert '><script>"' not in answer.text
    client.cookies.set("mambaout_language", "klingon")
    assert client.get("/heard", headers={"accept-language": "fr"}).text == "fr"


def test_the_page_says_its_language_to_screen_readers_and_to_gradio(client):
    answer = client.get("/", headers={"accept-language": "zh-Hant-HK"})
    assert '<html\n\tlang="zh-TW">' in answer.text
    assert 'value: "zh-TW"' in answer.text.partition("<title")[0]
    assert '<title lang="en">' in answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "Accept-Language" in answer.headers["vary"]


def test_what_is_no_page_is_left_alone(client):
    answer = client.get("/heard?lang=fr")
    assert "vary" not in answer.headers
    assert answer.text == "fr"


def test_other_traffic_passes():
    seen = []

    async def app(scope, receive, send):
        seen.append(scope)

    asyncio.run(VisitorLanguage(app)({"type": "lifespan"}, None, None))
    assert seen == [{"type": "lifespan"}]
