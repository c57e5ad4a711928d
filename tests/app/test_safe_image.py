"""The picture input, in a page that is served and asked over HTTP, and in a browser."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path
from typing import get_args

import gradio as gr
import httpx
import numpy as np
import pytest
from gradio import processing_utils
from gradio.data_classes import ImageData
from gradio.utils import get_upload_folder
from PIL import Image

from app.catalogues import LANGUAGES, catalogue
from app.language import speaking
from app.limits import local_hosts, middleware
from app.safe_image import SafeImage, notes_of
from app.uploads import ONLY_UPLOADS
from mambaout.pictures import Rejected, gate, read_picture
from mambaout.pictures.colour import ON_WHITE
from mambaout.pictures.errors import RejectionCode
from mambaout.pictures.gate import FIRST_FRAME
from tests.pictures import file_parts as make
from tests.pictures.hostile import PICTURE, SAMPLES, SMALL

META = {"_type": "gradio.FileData"}
as_the_page_runs = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def uploaded(tmp_path_factory):
    """Writes a file where gradio keeps uploads, and answers with its path."""
    folder = Path(get_upload_folder()) / tmp_path_factory.mktemp("upload").name
    folder.mkdir(parents=True)

    def write(data, name="upload.bin"):
        (folder / name).write_bytes(data)
        return str(folder / name)

    yield write
    shutil.rmtree(folder)


def preprocess(path=None, **fields):
    return SafeImage(type="pil", render=False).preprocess(ImageData(path=path, **fields))


def refusal(path=None, **fields):
    """The sentence a visitor reads."""
    with pytest.raises(gr.Error) as caught:
        preprocess(path, **fields)
    assert not caught.value.print_exception  # the visitor's mistake is no matter for the log
    return caught.value.message


# -- the component -----------------------------------------------------------------------------


def test_an_upload_becomes_a_picture(uploaded):
    image = preprocess(uploaded(SMALL["png"]()))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(make.photograph()))
    assert notes_of(image) == ()


def test_no_picture_is_no_error():
    assert SafeImage(type="pil", render=False).preprocess(None) is None


def test_notes_come_along_and_go_no_further(uploaded):
    frames = [Image.new("RGBA", (32, 24), (255, 0, 0, alpha)) for alpha in (64, 128)]
    data = make.encoded(frames[0], "PNG", save_all=True, append_images=frames[1:])
    image = preprocess(uploaded(data))
    assert notes_of(image) == (ON_WHITE, FIRST_FRAME)
    assert ON_WHITE.encode() not in make.encoded(image, "PNG")
    assert notes_of(make.photograph()) == ()


@as_the_page_runs
@pytest.mark.parametrize(
    "name", [name for name, sample in SAMPLES.items() if sample.expected != PICTURE]
)
def test_a_bad_file_ends_in_a_sentence(name, uploaded):
    sentence = refusal(uploaded(SAMPLES[name].build(), name))
    assert sentence.endswith(".")
    assert sentence != ONLY_UPLOADS
    assert name not in sentence


def test_names_and_types_that_the_client_claims_count_for_nothing(uploaded):
    claims = {"orig_name": "photo.svg", "mime_type": "image/svg+xml", "url": "http://example.org"}
    assert preprocess(uploaded(SMALL["jpg"](), "a.svg"), **claims).size == (64, 48)


def test_only_uploads_are_opened(uploaded, tmp_path):
    inside = uploaded(SMALL["png"]())
    outside = tmp_path / "secret.png"
    outside.write_bytes(SMALL["png"]())
    beside = Path(get_upload_folder() + "-of-another-program")
    beside.mkdir()
    (beside / "secret.png").write_bytes(SMALL["png"]())
    link = Path(inside).with_name("link.png")
    link.symlink_to(outside)
    try:
        for path in (
            str(outside),
            str(beside / "secret.png"),
            f"{Path(inside).parent}/../../../..{outside}",
            str(link),
            "http://127.0.0.1/picture.png",
            "file:///etc/passwd",
            "picture.png",
            "",
            "no\0name",
        ):
            assert refusal(path) == ONLY_UPLOADS
    finally:
        shutil.rmtree(beside)
    assert preprocess(inside) is not None


def test_embedded_data_are_refused():
    data = "data:image/png;base64," + base64.b64encode(SMALL["png"]()).decode()
    stock = gr.Image(type="pil", render=False).preprocess(ImageData(url=data))
    assert stock.size == (64, 48)
    assert refusal(url=data) == ONLY_UPLOADS
    assert refusal(data) == ONLY_UPLOADS


@pytest.mark.parametrize("url", ["http://example.org/a.png", "HTTPS://example.org/a.png"])
def test_addresses_are_not_fetched(url, monkeypatch):
    fetched = []

    def download(address, cache_dir):
        fetched.append(address)
        return "downloaded"

    async def async_download(address, cache_dir):
        return download(address, cache_dir)

    monkeypatch.setattr(processing_utils, "save_url_to_cache", download)
    monkeypatch.setattr(processing_utils, "async_ssrf_protected_download", async_download)
    gr.Image(render=False).move_resource_to_block_cache(url.lower())
    assert len(fetched) == 1
    with pytest.raises(gr.Error) as caught:
        SafeImage(render=False).move_resource_to_block_cache(url)
    assert caught.value.message == ONLY_UPLOADS
    with pytest.raises(gr.Error):
        SafeImage(render=False).async_move_resource_to_block_cache(url).send(None)
    assert len(fetched) == 1


def test_a_picture_of_ours_may_be_shown(tmp_path):
    path = tmp_path / "example.png"
    path.write_bytes(SMALL["png"]())
    component = SafeImage(value=str(path), type="pil", render=False)
    assert component.get_config()["name"] == "image"
    assert component.value["path"].startswith(get_upload_folder())


# -- over HTTP ---------------------------------------------------------------------------------


def describe(image):
    """What a handler gets."""
    return [image.mode, *image.size, *notes_of(image)]


@pytest.fixture(scope="module")
def page():
    """The address of a page with one picture input and the limits of production."""
    with gr.Blocks(analytics_enabled=False) as demo:
        picture = SafeImage(type="pil", label="Picture", elem_id="picture")
        answer = gr.JSON(elem_id="answer")
        gr.Button("Ask").click(describe, picture, answer, api_name="describe")
    _, address, _ = demo.launch(
        server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, ssr_mode=False,
        max_file_size="1mb", app_kwargs={"middleware": middleware(local_hosts("127.0.0.1"))},
    )  # fmt: skip
    yield address.rstrip("/")
    demo.close()


def upload(page, data, name):
    response = httpx.post(f"{page}/gradio_api/upload", files={"files": (name, data)}, timeout=60)
    response.raise_for_status()
    return response.json()[0]


def call(page, payload):
    """The event that ends the call, and its data."""
    endpoint = f"{page}/gradio_api/call/describe"
    begun = httpx.post(endpoint, json={"data": [payload]}, timeout=60)
    assert begun.status_code == 200
    end = httpx.get(f"{endpoint}/{begun.json()['event_id']}", timeout=60).text
    event, data = end.strip().split("\n\n")[-1].split("\n")
    return event.removeprefix("event: "), json.loads(data.removeprefix("data: "))


@as_the_page_runs
def test_bad_pictures_get_their_sentence_and_good_ones_still_work(page):
    good = SMALL["jpg"]()
    for name in ("empty.jpg", "photo.jpg", "half.png", "directory.tif"):
        path = upload(page, SAMPLES[name].build(), name)
        event, data = call(page, {"path": path, "meta": META})
        assert event == "error"
        assert data["error"].endswith(".")
        assert name not in data["error"]
        path = upload(page, good, "good.jpg")
        assert call(page, {"path": path, "meta": META}) == ("complete", [["RGB", 64, 48]])


@pytest.mark.parametrize("meta", [{"meta": META}, {}], ids=["with meta", "without meta"])
@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        str(Path(__file__)),
        "http://127.0.0.1:1/a.png",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "data:image/png;base64,iVBORw0KGgo=",
        "../../../../etc/passwd",
    ],
)
def test_crafted_payloads_reach_no_file_and_no_address(path, meta, page):
    event, data = call(page, {"path": path, **meta})
    assert event == "error"
    assert "root:" not in json.dumps(data)


def test_embedded_pictures_are_refused_over_http(page):
    data = "data:image/png;base64," + base64.b64encode(SMALL["png"]()).decode()
    assert call(page, {"url": data})[0] == "error"
    assert call(page, {"url": data, "meta": META})[0] == "error"


def test_the_limits_of_the_server(page):
    payload = {"data": [{"url": "data:image/png;base64," + "A" * 2**20}]}
    response = httpx.post(f"{page}/gradio_api/call/describe", json=payload, timeout=60)
    assert response.status_code == 413
    # more than a message may have, and no more than a file may have
    upload(page, bytes(2**20 - 1), "large.bin")
    files = {"files": ("larger.bin", bytes(2**20 + 1))}
    assert httpx.post(f"{page}/gradio_api/upload", files=files, timeout=60).status_code == 413
    foreign = {"Host": "evil.example"}
    assert httpx.get(page, headers=foreign, timeout=60).status_code == 421
    answer = httpx.get(page, timeout=60)
    assert answer.status_code == 200
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/etc/passwd", str(Path(__file__)), "app.py"])
def test_files_of_the_server_are_not_served(path, page):
    assert httpx.get(f"{page}/gradio_api/file={path}", timeout=60).status_code in {403, 404}


# -- in a browser ------------------------------------------------------------------------------


@pytest.mark.browser
def test_the_visitor_sees_the_sentence(page, chromium):
    from playwright.sync_api import expect

    def choose(name, data):
        tab.locator("#picture input[type=file]").set_input_files(
            {"name": name, "mimeType": "image/png", "buffer": data}
        )
        expect(tab.locator("#picture img")).to_be_visible()
        tab.get_by_role("button", name="Ask").click()

    tab = chromium.new_page()
    tab.goto(page)
    choose("half.png", SAMPLES["half.png"].build())
    toast = tab.get_by_test_id("toast-body")
    expect(toast).to_contain_text("This PNG file is damaged, cut short or of a rare kind")
    tab.get_by_test_id("toast-close").click()
    tab.get_by_label("Remove Image").or_(tab.get_by_label("Clear")).first.click()
    choose("good.png", SMALL["png"]())
    expect(tab.locator("#answer")).to_contain_text("RGB")
    expect(toast).to_have_count(0)
    tab.close()


# -- in another language -------------------------------------------------------------------------

OTHERS = [tag for tag in LANGUAGES if tag != "en"]


def no_memory(*_):
    raise MemoryError


@as_the_page_runs
@pytest.mark.parametrize("tag", OTHERS)
def test_every_refusal_has_a_sentence_in_every_language(tag, uploaded, monkeypatch):
    def asked(path):
        """The code of a refusal, when it is no longer in English."""
        with pytest.raises(Rejected) as caught:
            read_picture(path)
        with speaking(tag):
            sentence = refusal(path)
        assert sentence != caught.value.sentence
        assert "{" not in sentence
        return caught.value.code

    kinds = {sample.expected: (name, sample) for name, sample in SAMPLES.items()}
    del kinds[PICTURE]
    codes = {asked(uploaded(sample.build(), name)) for name, sample in kinds.values()}
    good = uploaded(SMALL["png"]())
    codes.add(asked(good + "-that-is-gone"))
    with monkeypatch.context() as patch:
        patch.setattr(gate, "MAX_FILE_BYTES", 10)
        codes.add(asked(good))
    monkeypatch.setattr(gate, "_decode", no_memory)
    codes.add(asked(good))
    assert codes == {*get_args(RejectionCode)}


@pytest.mark.parametrize("tag", OTHERS)
def test_kinds_of_files_and_notes_are_translated_too(tag, uploaded):
    image = preprocess(uploaded(make.encoded(Image.new("RGBA", (32, 24), (9, 9, 9, 64)), "PNG")))
    words = catalogue(tag).one
    with speaking(tag):
        assert notes_of(image) == (words(ON_WHITE),)
        assert words(ON_WHITE) != ON_WHITE
        assert words("a PDF document") in refusal(uploaded(b"%PDF-1.7\n"))
    assert notes_of(image) == (ON_WHITE,)
