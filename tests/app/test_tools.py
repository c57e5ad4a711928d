"""The endpoints as tools of language models, asked through the protocol's own client."""

from __future__ import annotations

import ast
import base64
import json
from importlib.metadata import PackageNotFoundError

import anyio
import httpx
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from PIL import Image

from app.api import tools
from app.store import DEFAULT_PAIR
from tests.app.serving import Caller, launched, png

MAMBAOUT, VIM = DEFAULT_PAIR


@pytest.fixture(scope="module")
def address(store):
    with launched(store) as address:
        yield address


def use(address, *calls):
    """The tools on offer, and how calls of some of them ended: whether well, and what was said."""

    async def session():
        route = f"{address}/gradio_api/mcp/"
        async with (
            streamable_http_client(route) as (read, write, _),
            ClientSession(read, write) as client,
        ):
            await client.initialize()
            offered = (await client.list_tools()).tools
            ends = [await client.call_tool(name, values) for name, values in calls]
            return offered, [(not end.isError, end.content[0].text) for end in ends]

    return anyio.run(session)


def embedded(picture):
    return f"data:image/png;base64,{base64.b64encode(png(picture)).decode()}"


def test_tools_say_what_they_take(address):
    offered, _ = use(address)
    kinds = {tool.name: tool for tool in offered}
    assert kinds.keys() == {"classify", "compare", "mixing", "token_reads", "models"}
    for name, tool in kinds.items():
        assert tool.description
        values = tool.inputSchema.get("properties", {})
        assert ("picture" in values) == (name != "models")
        assert all(value["description"] for value in values.values())
    choices = kinds["compare"].inputSchema["properties"]
    assert choices["mixing"]["enum"] == ["bidirectional", "causal"]
    assert choices["right"]["default"] == VIM
    listed = httpx.get(f"{address}/gradio_api/mcp/schema", timeout=60).json()
    assert {tool["name"] for tool in listed} == kinds.keys()


def test_tools_answer_as_the_endpoints_do(address, picture):
    choices = {
        "classify": {"model": VIM, "mixing": "causal", "count": 3},
        "compare": {"left": MAMBAOUT, "right": VIM, "mixing": "causal", "method": "gradcam"},
        "mixing": {"model": VIM, "method": "hirescam"},
        "token_reads": {
            "model": VIM, "mixing": "causal", "layer": "", "measure": "scan", "row": 3, "column": 4,
        },
    }  # fmt: skip
    with Caller(address) as caller:
        uploaded = caller.upload(png(picture))
        right = {name: caller.call(name, uploaded, *v.values()) for name, v in choices.items()}
        right["models"] = caller.call("models")
    calls = [(name, {"picture": embedded(picture), **rest}) for name, rest in choices.items()]
    _, ends = use(address, *calls, ("models", {}))
    for (name, (how, value)), (well, said) in zip(right.items(), ends, strict=True):
        assert (how, well) == ("complete", True), name
        assert json.loads(json.dumps(ast.literal_eval(said))) == value, name


def test_a_picture_is_embedded_or_uploaded_and_never_fetched(address, picture, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(png(picture))
    with Caller(address) as caller:
        uploaded = caller.upload(png(picture))["path"]
        noise = Image.effect_noise((1000, 1000), 90).convert("RGB")
        large = caller.upload(png(noise))["path"]
    sound = (
        embedded(picture),
        f"{address}/gradio_api/file={uploaded}",
        f"https://page.example/gradio_api/file={uploaded}",  # its name behind a proxy
        f"{address}/gradio_api/file={large}",  # more than one message may hold
    )
    _, ends = use(address, *[("classify", {"picture": value}) for value in sound])
    assert [well for well, _ in ends] == [True] * len(sound)
    first, *same = [ast.literal_eval(said)["classes"] for _, said in ends[:3]]
    assert same == [first] * 2
    refused = (
        "http://127.0.0.1:1/a.png",
        f"{address}/gradio_api/file={secret}",
        f"{address}/gradio_api/file={uploaded}/../../../../../../../../{secret}",
        f"{address}/gradio_api/file=http://127.0.0.1:1/a.png",
        str(secret),
        "data:image/png;base64,AAAA",
    )
    _, ends = use(address, *[("classify", {"picture": value}) for value in refused])
    assert [well for well, _ in ends] == [False] * len(refused)
    assert all(said.endswith((".", str(secret))) for _, said in ends)
    _, [(well, said)] = use(address, ("classify", {"picture": embedded(picture), "model": "gpt"}))
    assert not well
    assert "gpt" in said


def test_it_is_a_tool_server_where_the_package_fits(monkeypatch, caplog):
    found = {"1.30.0": True, "2.3.0": False}
    for number, offered in found.items():
        monkeypatch.setattr(tools, "version", lambda _name, number=number: number)
        assert tools.tools_offered() is offered
    assert "pip install 'mcp<2'" in caplog.text

    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(tools, "version", absent)
    assert tools.tools_offered() is False
