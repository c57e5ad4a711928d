"""The plain downloader against a real server that cuts, lies and redirects."""

from __future__ import annotations

import hashlib
import time

import pytest

from mambaout.catalogue.download import download
from mambaout.errors import CheckpointError, WeightsUnavailable
from tests.models.file_server import FileServer

CONTENT = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture
def page():
    with FileServer({"/file": CONTENT}) as server:
        yield server


def files_in(directory):
    return sorted(path.name for path in directory.iterdir())


def get(server, target, **options):
    download(f"{server.url}/file", target, pause=0.0, **options)


def test_download_goes_on_after_cuts(page, tmp_path):
    page.cut = [1000, 500_000, 1_200_000]
    heard = []
    get(page, tmp_path / "f", progress=lambda done, total: heard.append((done, total)))
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert page.sent == len(CONTENT)
    assert [entry[2] for entry in page.gets] == [
        None,
        "bytes=1000-",
        "bytes=501000-",
        "bytes=1701000-",
    ]
    assert heard == sorted(heard)
    assert heard[-1] == (len(CONTENT), len(CONTENT))
    assert files_in(tmp_path) == ["f"]


def test_download_gives_up_and_goes_on_later(page, tmp_path):
    page.cut = [700_000, 0, 0]
    with pytest.raises(WeightsUnavailable, match=r"3 times in a row .*700,000 bytes are kept"):
        get(page, tmp_path / "f", attempts=3)
    assert len(page.gets) == 3
    assert not (tmp_path / "f").exists()
    get(page, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert page.sent == len(CONTENT)


def test_download_of_a_file_that_changed_meanwhile(page, tmp_path):
    page.cut = [700_000]
    with pytest.raises(WeightsUnavailable):
        get(page, tmp_path / "f", attempts=1)
    page.files["/file"] = CONTENT[::-1]
    get(page, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT[::-1]


def test_download_of_a_file_that_shrank_meanwhile(page, tmp_path):
    (tmp_path / "f.part").write_bytes(CONTENT)
    (tmp_path / "f.part.version").write_text(f'"{hashlib.sha256(b"short").hexdigest()}"')
    page.files["/file"] = b"short"
    get(page, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == b"short"
    assert page.gets[0][2] == f"bytes={len(CONTENT)}-"


def test_download_from_a_server_without_ranges(page, tmp_path):
    page.ranges = False
    page.cut = [700_000]
    get(page, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert page.sent == 700_000 + len(CONTENT)


def test_download_waits_out_a_busy_server(page, tmp_path):
    page.fail = [503, 429]
    get(page, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_download_does_not_repeat_a_refusal(page, tmp_path):
    page.fail = [403]
    with pytest.raises(WeightsUnavailable, match="answered 403"):
        get(page, tmp_path / "f")
    assert len(page.requests) == 1


def test_download_of_unknown_length(page, tmp_path):
    page.lengths = False
    with pytest.raises(WeightsUnavailable, match="does not say how long"):
        get(page, tmp_path / "f")


def test_download_without_server(tmp_path):
    with pytest.raises(WeightsUnavailable, match=r"failed 2 times in a row \(no connection"):
        download("http://127.0.0.1:9/file", tmp_path / "f", attempts=2, pause=0.0)


@pytest.mark.parametrize(
    "url", ["http://example.com/f", "file:///etc/passwd", "ftp://example.com/f", "f.pth"]
)
def test_download_over_https_alone(tmp_path, url, page):
    with pytest.raises(WeightsUnavailable, match="only downloaded over https"):
        download(url, tmp_path / "f")
    page.redirects["/file"] = url
    if ":" in url:  # a relative address stays on the server
        with pytest.raises(WeightsUnavailable, match=r"only downloaded over https|answered 302"):
            get(page, tmp_path / "f")
        assert files_in(tmp_path) == []


def test_download_follows_a_redirect(page, tmp_path):
    page.redirects["/file"] = "/moved"
    page.files["/moved"] = CONTENT
    get(page, tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_pauses_grow_and_are_bounded(page, tmp_path, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    page.fail = [503] * 20
    with pytest.raises(WeightsUnavailable):
        download(f"{page.url}/file", tmp_path / "f", attempts=8)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [({"sha256": "0" * 64}, "its SHA-256 differs"), ({"size": 5}, "expected 5")],
)
def test_download_of_another_file(page, tmp_path, facts, reason):
    with pytest.raises(CheckpointError, match=reason):
        get(page, tmp_path / "f", **facts)
    assert files_in(tmp_path) == []
    get(page, tmp_path / "f", sha256=hashlib.sha256(CONTENT).hexdigest(), size=len(CONTENT))
    assert (tmp_path / "f").read_bytes() == CONTENT
