"""The public interface, over HTTP: what it offers, that it is right, and how it refuses."""

from __future__ import annotations

import json

import httpx
import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from pydantic import TypeAdapter

from app.api import schema
from app.api.interface import NO_PICTURE, Interface
from app.store import DEFAULT_PAIR
from mambaout import with_mixing
from mambaout.explain import token_reads
from tests.app.serving import Caller, launched, png

MAMBAOUT, VIM = DEFAULT_PAIR
KINDS = {
    "/classify": schema.Classification,
    "/compare": schema.Report,
    "/mixing": schema.Report,
    "/token_reads": schema.Reads,
    "/models": schema.Models,
}


@pytest.fixture(scope="module")
def address(store):
    with launched(store) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    client = Client(address, verbose=False)
    yield client
    client.close()


@pytest.fixture(scope="module")
def file(picture, tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "a name with ünïcode.png"
    path.write_bytes(png(picture))
    return path


@pytest.fixture(scope="module")
def caller(address):
    with Caller(address) as caller:
        yield caller


@pytest.fixture(scope="module")
def uploaded(caller, picture):
    return caller.upload(png(picture))


def fits(kind, value):
    """Whether a value has every key of a type, and no other."""
    text = json.dumps(value)
    assert "__type__" not in text
    assert '"path":' not in text  # gradio's client takes whatever has one for a file
    adapter = TypeAdapter(kind)
    return adapter.dump_python(adapter.validate_python(value, strict=False)) == value


# -- what is offered ---------------------------------------------------------------------------


def test_the_interface_is_these_five(address):
    info = httpx.get(f"{address}/gradio_api/info", timeout=60).json()
    assert set(info["named_endpoints"]) == set(KINDS)
    assert not info["unnamed_endpoints"]


@pytest.mark.parametrize("endpoint", KINDS)
def test_every_endpoint_says_what_it_takes_and_gives(endpoint, address):
    info = httpx.get(f"{address}/gradio_api/info", timeout=60).json()["named_endpoints"][endpoint]
    assert info["description"].endswith(".")
    (returned,) = info["returns"]
    assert returned["type"] == schema.schema_of(KINDS[endpoint])
    assert returned["type"]["properties"]
    names = [parameter["parameter_name"] for parameter in info["parameters"]]
    assert names == [*Interface.__dict__[endpoint[1:]].__annotations__][:-1]
    for parameter in info["parameters"]:
        assert parameter["parameter_has_default"] == (parameter["parameter_name"] != "picture")
        if parameter["parameter_name"] in {"model", "left", "right"}:
            assert parameter["type"]["enum"] == [*DEFAULT_PAIR]


def test_the_machine_readable_description_is_whole(address):
    document = httpx.get(f"{address}/gradio_api/openapi.json", timeout=60).json()
    paths = [path for path in document["paths"] if "/call/v2/" in path]
    assert {f"/{path.rpartition('/')[2]}" for path in paths} >= set(KINDS)


# -- that it is right --------------------------------------------------------------------------


def test_classify_gives_the_models_own_probabilities(client, file, store, picture):
    found = client.predict(handle_file(file), MAMBAOUT, count=3, api_name="/classify")
    assert fits(schema.Classification, found)
    loaded = store.get(MAMBAOUT)
    expected = loaded.model(loaded.input_of(picture))[0].softmax(0).topk(3)
    assert [c["label"] for c in found["classes"]] == [
        loaded.vocabulary.labels[i] for i in expected.indices
    ]
    assert [c["probability"] for c in found["classes"]] == expected.values.tolist()
    assert (found["picture"]["width"], found["picture"]["height"]) == picture.size
    assert found["device"] == "cpu"


def test_compare_gives_both_answers_with_their_maps(client, file, picture, store):
    found = client.predict(handle_file(file), api_name="/compare")
    assert fits(schema.Report, found)
    assert {*found["answers"]} == {"left", "right"}
    assert not found["missing"]
    for side, name in zip(("left", "right"), DEFAULT_PAIR, strict=True):
        loaded, answer = store.get(name), found["answers"][side]
        expected = loaded.model(loaded.input_of(picture))[0].softmax(0)
        assert [*answer["probabilities"].values()] == pytest.approx(expected.tolist(), rel=1e-5)
        assert np.shape(answer["heat"]["values"]) == tuple(answer["heat"]["grid"])
    assert "has no scan" in found["answers"]["left"]["scan"]["why_not"]
    assert {path["scan_path"] for path in found["answers"]["right"]["scan"]} == {
        "forward",
        "backward",
    }
    (difference,) = found["differences"]
    assert difference["kl_nats"] > 0


def test_mixing_asks_the_same_weights_twice(client, file, picture, store):
    found = client.predict(handle_file(file), model=VIM, api_name="/mixing")
    assert fits(schema.Report, found)
    loaded = store.get(VIM)
    image = loaded.input_of(picture)
    for mixing in ("bidirectional", "causal"):
        answer = found["answers"][mixing]
        expected = with_mixing(loaded.model, mixing)(image)[0].softmax(0)
        assert answer["mixing"] == mixing
        assert [*answer["probabilities"].values()] == pytest.approx(expected.tolist(), rel=1e-5)
    assert found["differences"][0]["js_nats"] > 0


@pytest.mark.parametrize("mixing", ["bidirectional", "causal"])
def test_token_reads_are_those_of_the_patch(mixing, client, file, picture, store):
    row, column = 5, 9
    found = client.predict(
        handle_file(file), VIM, mixing, "", "scan", row, column, api_name="/token_reads"
    )
    assert fits(schema.Reads, found)
    loaded = store.get(VIM)
    token = row * 16 + column
    token += token >= 128  # the class token is in the middle of the 256 patches
    view = loaded.view(mixing)
    expected = token_reads(
        view, loaded.input_of(picture), found["layer"], "scan", rows=[token]
    ).row(token)
    assert np.array_equal(np.asarray(found["values"], np.float32), expected)
    assert found["layer"] in found["layers"]
    after = np.asarray(found["values"]).ravel()[row * 16 + column + 1 :]
    assert (after == 0).all() == (mixing == "causal")
    assert (found["share_after"] == 0) == (mixing == "causal")


def test_models_lists_what_the_others_take(client):
    found = client.predict(api_name="/models")
    assert fits(schema.Models, found)
    assert [card["name"] for card in found["models"]] == [*DEFAULT_PAIR]
    assert found["models"][0]["weights"] == "bundled"


def test_two_requests_without_a_client_library(caller, uploaded, client, file):
    event, value = caller.call("classify", uploaded, MAMBAOUT, "bidirectional", 3)
    assert event == "complete"
    assert value == client.predict(handle_file(file), MAMBAOUT, count=3, api_name="/classify")


def test_by_name_in_one_object(address, uploaded):
    """The second form of the route, in which parameters have names and defaults."""
    begun = httpx.post(
        f"{address}/gradio_api/call/v2/classify",
        json={"picture": uploaded, "count": 2},
        timeout=60,
    )
    assert begun.status_code == 200
    end = httpx.get(
        f"{address}/gradio_api/call/classify/{begun.json()['event_id']}", timeout=120
    ).text
    assert end.startswith("event: complete")


def test_the_same_picture_is_answered_from_the_cache(caller, picture, store, monkeypatch):
    asked = []
    forward = torch.nn.Module.__call__
    noisy = picture.transpose(0)
    first = caller.call("compare", caller.upload(png(noisy)), MAMBAOUT, VIM, "causal", "gradcam")

    def counted(module, *args, **options):
        asked.append(type(module).__name__)
        return forward(module, *args, **options)

    monkeypatch.setattr(torch.nn.Module, "__call__", counted)
    again = caller.upload(png(noisy), "another name.png")
    assert caller.call("compare", again, MAMBAOUT, VIM, "causal", "gradcam") == first
    assert not asked
    assert caller.call("compare", again, VIM, MAMBAOUT, "bidirectional", "gradcam") != first
    assert asked
    assert store.results.bytes <= store.results.capacity


# -- how it refuses ----------------------------------------------------------------------------


def test_a_refusal_is_a_sentence(caller, uploaded, client):
    event, value = caller.call("classify", None, MAMBAOUT, "bidirectional", 5)
    assert (event, value["error"]) == ("error", NO_PICTURE)
    event, value = caller.call("classify", uploaded, "resnet18", "bidirectional", 5)
    assert event == "error"
    assert "resnet18" in value["error"]
    event, value = caller.call("token_reads", uploaded, VIM, "causal", "", "scan", 99, 0)
    assert "16 rows and 16 columns" in value["error"]
    event, value = caller.call("token_reads", uploaded, VIM, "causal", "nowhere", "scan", 0, 0)
    assert "layer must be a mixer" in value["error"].lower()
    event, value = caller.call("token_reads", uploaded, MAMBAOUT, "causal", "", "scan", 0, 0)
    assert "no scan" in value["error"]
    with pytest.raises(AppError, match="not in the list of choices"):
        client.predict(None, MAMBAOUT, "sideways", api_name="/classify")


CHOICES = {
    "classify": (MAMBAOUT, "bidirectional", 5),
    "compare": (MAMBAOUT, VIM, "bidirectional", "gradcam"),
    "mixing": (VIM, "gradcam"),
    "token_reads": (VIM, "bidirectional", "", "scan", None, None),
}


@pytest.mark.parametrize("endpoint", CHOICES)
@pytest.mark.parametrize("path", ["/etc/passwd", __file__, "http://127.0.0.1:1/a.png"])
def test_only_uploads_are_opened(path, endpoint, caller, uploaded):
    assert caller.call(endpoint, uploaded, *CHOICES[endpoint])[0] == "complete"
    for payload in ({"path": path}, {"path": path, "meta": {"_type": "gradio.FileData"}}):
        event, value = caller.call(endpoint, payload, *CHOICES[endpoint])
        assert event == "error"
        assert "root:" not in json.dumps(value)


def test_a_bad_picture_has_its_sentence(caller, uploaded):
    bad = caller.upload(b"GIF89a and no more", "a.gif")
    event, value = caller.call("compare", bad, *CHOICES["compare"])
    assert event == "error"
    assert value["error"].endswith(".")
    assert caller.call("classify", uploaded, *CHOICES["classify"])[0] == "complete"
