"""Where weights come from: bundled, cached, or fetched from a server that speaks for the Hub."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
from dataclasses import replace
from pathlib import Path

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from timm.models import _registry

from mambaout.catalogue.bundled import causal_twin, trained_mixing
from mambaout.catalogue.sources import cache_directory
from mambaout.errors import CheckpointError, WeightsUnavailable
from mambaout.models.checkpoints import load_checkpoint
from mambaout.models.weights import fetch_weights, weights_file, weights_status
from tests.models.author_files import saved, vim_release, vim_tensors
from tests.models.file_server import COMMIT, FileServer

NAME = "vim_atto.tiny_imagenet"
PATH = "/hustvl/Vim-atto/resolve/main/vim_atto_midclstok.pth"


class Bomb:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.fixture(scope="module")
def tensors():
    return vim_tensors()


@pytest.fixture(scope="module")
def release(tensors):
    return saved(vim_release(tensors))


def take_for_hub(monkeypatch, url):
    """What HF_ENDPOINT does when the Hub's client is imported."""
    constants = huggingface_hub.constants
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server that the Hub's client takes for the Hub, and empty caches."""
    constants = huggingface_hub.constants
    with FileServer() as server:
        take_for_hub(monkeypatch, server.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setenv("MAMBAOUT_CACHE", str(tmp_path / "ours"))
        yield server


def declare(monkeypatch, name=NAME, **source):
    """Let a registered name declare another source of weights."""
    cfg = replace(_registry._model_pretrained_cfgs[name], file=None, **source)
    monkeypatch.setitem(_registry._model_pretrained_cfgs, name, cfg)


@pytest.fixture
def on_hub(monkeypatch, server, release):
    declare(monkeypatch, hf_hub_id="hustvl/Vim-atto", hf_hub_filename="vim_atto_midclstok.pth")
    server.files[PATH] = release
    return server


@pytest.fixture
def on_page(monkeypatch, server, release):
    """A release file elsewhere; a "#" in the tag, as VMamba's releases have it."""
    declare(monkeypatch, url=f"{server.url}/releases/%23v2/vim_atto.pth")
    server.files["/releases/#v2/vim_atto.pth"] = release
    return server


def files_in(directory):
    return sorted(path.name for path in directory.rglob("*") if path.is_file())


def ours(tmp_path):
    return [n for n in files_in(tmp_path / "ours") if not n.endswith(".lock")]


# ---------------------------------------------------------------- from the Hub


def test_hub_file_is_converted_once(on_hub, release, tensors, tmp_path):
    assert weights_status(NAME).state == "available"
    assert on_hub.requests == []
    heard = []
    path = fetch_weights(NAME, lambda done, total: heard.append((done, total)))
    found = load_file(path)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert path.stat().st_size < 0.6 * len(release)
    with safe_open(path, framework="pt") as file:
        assert file.metadata() == {
            "format": "pt",
            "architecture": "vim_atto",
            "source": "hustvl/Vim-atto/vim_atto_midclstok.pth",
            "source_sha256": hashlib.sha256(release).hexdigest(),
            "license": "apache-2.0",
        }
    assert heard[0][0] == 0
    assert heard[-1] == (len(release), len(release))
    assert heard == sorted(heard)
    assert ours(tmp_path) == [path.name]

    asked = len(on_hub.requests)
    assert fetch_weights(NAME) == path
    assert len(on_hub.requests) == asked
    status = weights_status(NAME)
    assert (status.state, status.path, status.bytes) == ("cached", path, path.stat().st_size)


def test_hub_download_resumes_after_a_cut(on_hub, release, tensors, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    chunk = 1 << 18  # the client keeps whole chunks of what it received
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", chunk)
    on_hub.cut = [len(release) // 2, len(release) // 4]
    heard = []
    found = load_file(fetch_weights(NAME, lambda done, total: heard.append(done)))
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    asked = [entry[2] for entry in on_hub.gets]
    assert len(asked) == 3
    assert asked[0] is None
    assert asked[1].startswith("bytes=")
    assert asked[2].startswith("bytes=")
    assert len(release) <= on_hub.sent < len(release) + 2 * chunk
    assert heard[-1] == len(release)
    assert heard == sorted(heard)


def test_hub_that_keeps_failing(on_hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    on_hub.cut = [0] * 100
    with pytest.raises(WeightsUnavailable, match="Connect to the internet and try again"):
        fetch_weights(NAME)
    assert ours(tmp_path) == []
    assert weights_status(NAME).state == "available"
    on_hub.cut = []
    fetch_weights(NAME)
    assert weights_status(NAME).state == "cached"


def test_damaged_hub_cache_is_fetched_again(on_hub, tensors, tmp_path):
    fetch_weights(NAME).unlink()
    blob = next((tmp_path / "hub").glob("models--*/blobs/*"))
    content = bytearray(blob.read_bytes())
    content[len(content) // 2] ^= 0xFF
    blob.write_bytes(content)
    sent = on_hub.sent
    found = load_file(fetch_weights(NAME))
    assert on_hub.sent > sent
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_damaged_conversion_is_made_again(on_hub, tensors):
    path = fetch_weights(NAME)
    path.write_bytes(path.read_bytes()[:-1000])
    sent = on_hub.sent
    found = load_file(fetch_weights(NAME))
    assert on_hub.sent == sent  # from the Hub's cache
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def test_unsuitable_hub_files_leave_nothing(on_hub, tensors, release, tmp_path):
    trace = tmp_path / "it_ran"
    wider = vim_tensors(width=64)
    contents = {
        r"asks for .*refused": saved({"model": tensors, "args": Bomb(trace)}),
        r"looks like Vim \(width 64": saved(vim_release(wider)),
        r"not finite": saved({"model": tensors | {"head.bias": torch.full((24,), torch.nan)}}),
        r"download it again": release[: len(release) // 2],
        r"is a web page": b"<html>moved</html>",
    }
    for index, (reason, content) in enumerate(contents.items()):
        on_hub.files[PATH] = content
        cache = tmp_path / f"cache{index}"
        cfg = _registry._model_pretrained_cfgs[NAME]
        with pytest.raises(CheckpointError, match=reason):
            weights_file(cfg, cache_dir=cache)
        assert not list(cache.rglob("*.safetensors"))
    assert not trace.exists()


def test_offline_mode(on_hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    status = weights_status(NAME)
    assert (status.state, status.path) == ("unavailable", None)
    assert "offline mode is on" in status.reason
    with pytest.raises(
        WeightsUnavailable, match=r"Connect .* reason: offline mode is on \(HF_HUB_OFFLINE\)"
    ):
        fetch_weights(NAME)
    with pytest.raises(WeightsUnavailable, match="offline mode is on"):
        timm.create_model(NAME, pretrained=True)
    assert on_hub.requests == []


def test_offline_mode_with_the_authors_file_in_the_hub_cache(on_hub, tensors, monkeypatch):
    huggingface_hub.hf_hub_download("hustvl/Vim-atto", "vim_atto_midclstok.pth")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert weights_status(NAME).state == "cached"
    assert load_file(fetch_weights(NAME)).keys() == tensors.keys()


def test_no_network_is_said_in_seconds(on_hub, monkeypatch):
    take_for_hub(monkeypatch, "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(
        WeightsUnavailable, match=r"Connect to the internet.* reason: http://127\.0\.0\.1:9 failed"
    ):
        fetch_weights(NAME)
    assert time.monotonic() - start < 5


def test_file_that_left_the_hub(on_hub):
    on_hub.files.clear()
    with pytest.raises(WeightsUnavailable, match="no longer has this file"):
        fetch_weights(NAME)


def test_pinned_revision(on_hub, release, monkeypatch):
    declare(monkeypatch, hf_hub_id=f"hustvl/Vim-atto@{COMMIT}")
    on_hub.files = {PATH.replace("main", COMMIT): release}
    path = fetch_weights(NAME)
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["source"] == f"hustvl/Vim-atto@{COMMIT}/vim_atto_midclstok.pth"
    assert weights_status(NAME).state == "cached"


def test_safetensors_in_our_names_stay_where_they_are(server, tensors, monkeypatch, tmp_path):
    declare(monkeypatch, hf_hub_id="timm/vim_atto", hf_hub_filename=None)
    server.files["/timm/vim_atto/resolve/main/model.safetensors"] = save(tensors)
    path = fetch_weights(NAME)
    assert path.is_relative_to(tmp_path / "hub")
    assert ours(tmp_path) == []
    assert weights_status(NAME).path == path


def test_safetensors_in_other_names_are_converted(server, tensors, monkeypatch, tmp_path):
    declare(monkeypatch, hf_hub_id="someone/vim", hf_hub_filename=None)
    prefixed = save({f"model.{name}": tensor for name, tensor in tensors.items()})
    server.files["/someone/vim/resolve/main/model.safetensors"] = prefixed
    path = fetch_weights(NAME)
    assert path.is_relative_to(tmp_path / "ours")
    assert load_file(path).keys() == tensors.keys()


def test_two_requests_download_once(on_hub, release):
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(fetch_weights(NAME))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 3
    assert len(set(paths)) == 1
    assert on_hub.sent == len(release)


# ---------------------------------------------------------------- through timm


def test_timm_builds_the_pretrained_model(on_hub, tensors):
    model = timm.create_model(NAME, pretrained=True).eval()
    direct = timm.create_model("vim_atto").eval()
    load_checkpoint(direct, tensors)
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(model(image), direct(image))
    assert model.pretrained_cfg["hf_hub_id"] == "hustvl/Vim-atto"


def test_timm_changes_head_and_input(on_hub, tensors):
    other_head = timm.create_model(NAME, pretrained=True, num_classes=7)
    assert other_head.head.weight.shape == (7, 128)
    assert torch.equal(other_head.norm_f.weight, tensors["norm_f.weight"])
    grey = timm.create_model(NAME, pretrained=True, in_chans=1)
    summed = tensors["patch_embed.proj.weight"].sum(1, keepdim=True)
    torch.testing.assert_close(grey.patch_embed.proj.weight, summed)
    larger = timm.create_model(NAME, pretrained=True, img_size=96)
    assert larger.pos_embed.shape[1] == 24 * 24 + 1
    features = timm.create_model(NAME, pretrained=True, features_only=True)
    maps = features(torch.randn(1, 3, 64, 64))
    assert [m.shape[1] for m in maps] == features.feature_info.channels()
    assert torch.equal(features.model.layers[0].norm.weight, tensors["layers.0.norm.weight"])


def test_cache_directory_asked_of_timm(on_hub, tmp_path):
    timm.create_model(NAME, pretrained=True, cache_dir=tmp_path / "elsewhere")
    assert not (tmp_path / "ours").exists()
    assert not (tmp_path / "hub").exists()
    names = files_in(tmp_path / "elsewhere")
    assert sum(name.endswith(".safetensors") for name in names) == 1


def test_users_own_file(tmp_path, tensors):
    path = tmp_path / "mine.safetensors"
    save_file(tensors, path)
    model = timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay={"file": str(path)})
    assert torch.equal(model.norm_f.weight, tensors["norm_f.weight"])
    absent = {"file": str(tmp_path / "absent.safetensors")}
    with pytest.raises(WeightsUnavailable, match=r"There is no weight file at .*absent"):
        timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay=absent)
    authors = tmp_path / "vim.pth"
    authors.write_bytes(saved(vim_release(tensors)))
    with pytest.raises(CheckpointError, match="load_checkpoint"):
        timm.create_model(NAME, pretrained=True, pretrained_cfg_overlay={"file": str(authors)})


def test_nothing_published(monkeypatch):
    declare(monkeypatch)
    assert weights_status(NAME).state == "unavailable"
    with pytest.raises(WeightsUnavailable, match="No weights are published for vim_atto"):
        timm.create_model(NAME, pretrained=True)


def test_unknown_names():
    for ask in (fetch_weights, weights_status):
        with pytest.raises(WeightsUnavailable, match="No model is named vim_huge"):
            ask("vim_huge")
        with pytest.raises(WeightsUnavailable, match="Invalid pretrained tag"):
            ask("vim_atto.secret")


# ---------------------------------------------------------------- bundled


@pytest.fixture
def bundle(monkeypatch, tmp_path, tensors):
    directory = tmp_path / "checkpoints"
    directory.mkdir()
    file = directory / "vim_atto.tiny_imagenet.safetensors"
    save_file(tensors, file)
    entry = {
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "bytes": file.stat().st_size,
    }
    (directory / "manifest.json").write_text(json.dumps({file.name: entry}))
    monkeypatch.setenv("MAMBAOUT_CHECKPOINTS", str(directory))
    return file


def test_bundled_weights_need_no_network(bundle, tensors):
    status = weights_status(NAME)
    assert (status.state, status.path) == ("bundled", bundle)
    assert status.bytes == bundle.stat().st_size
    assert fetch_weights(NAME) == bundle
    model = timm.create_model(NAME, pretrained=True)
    assert torch.equal(model.norm_f.weight, tensors["norm_f.weight"])


def test_bundled_weights_that_were_changed(bundle):
    content = bytearray(bundle.read_bytes())
    content[-1] ^= 1
    bundle.write_bytes(content)
    with pytest.raises(CheckpointError, match="another SHA-256"):
        fetch_weights(NAME)
    with pytest.raises(CheckpointError, match="another SHA-256"):
        timm.create_model(NAME, pretrained=True)


def test_bundled_weights_that_are_missing(bundle):
    bundle.unlink()
    assert weights_status(NAME).state == "unavailable"
    with pytest.raises(WeightsUnavailable, match="missing: get the project again"):
        fetch_weights(NAME)


# ---------------------------------------------------------------- from a release page


def test_release_file_is_converted_and_not_kept(on_page, release, tensors, tmp_path):
    path = fetch_weights(NAME)
    assert load_file(path).keys() == tensors.keys()
    assert ours(tmp_path) == [path.name]
    assert on_page.sent == len(release)
    assert fetch_weights(NAME) == path
    assert on_page.sent == len(release)


def test_release_file_that_does_not_fit_is_not_kept(on_page, tmp_path):
    on_page.files["/releases/#v2/vim_atto.pth"] = saved({"model": vim_tensors(depth=3)})
    with pytest.raises(CheckpointError, match=r"like Vim \(width 128, 3 layers"):
        fetch_weights(NAME)
    assert ours(tmp_path) == []


def test_release_facts_in_the_address(on_page, release, monkeypatch):
    url = f"{on_page.url}/releases/%23v2/vim_atto.pth"
    facts = {"sha256": hashlib.sha256(release).hexdigest(), "size": len(release)}
    for wrong, reason in (
        ({"sha256": "0" * 64}, "its SHA-256 differs"),
        ({"size": 5}, "expected 5"),
    ):
        declare(monkeypatch, url=f"{url}#{urllib.parse.urlencode(facts | wrong)}")
        with pytest.raises(CheckpointError, match=reason):
            fetch_weights(NAME)
    declare(monkeypatch, url=f"{url}#{urllib.parse.urlencode(facts)}")
    fetch_weights(NAME)


def test_release_file_in_offline_mode(on_page, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert weights_status(NAME).state == "unavailable"
    with pytest.raises(WeightsUnavailable, match="offline mode is on"):
        fetch_weights(NAME)
    assert on_page.requests == []


# ---------------------------------------------------------------- places and the command


def test_cache_directory_of_each_platform(monkeypatch, tmp_path):
    monkeypatch.delenv("MAMBAOUT_CACHE")
    for platform, variable, expected in (
        ("linux", "XDG_CACHE_HOME", tmp_path / "mambaout"),
        ("win32", "LOCALAPPDATA", tmp_path / "mambaout"),
        ("darwin", "HOME", tmp_path / "Library" / "Caches" / "mambaout"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "platform", platform)
            patch.setenv(variable, str(tmp_path))
            assert cache_directory() == expected


def test_cache_that_cannot_be_written(on_hub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setenv("MAMBAOUT_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(WeightsUnavailable, match="set MAMBAOUT_CACHE"):
        fetch_weights(NAME)


def test_hub_cache_that_cannot_be_written(on_hub, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a directory")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(WeightsUnavailable, match=r"Not a directory \(.*below"):
        fetch_weights(NAME)


def test_declaration_that_changes_meets_no_old_file(on_hub, release, monkeypatch):
    first = fetch_weights(NAME)
    declare(monkeypatch, hf_hub_id="hustvl/Vim-atto-2")
    on_hub.files[PATH.replace("atto", "atto-2", 1)] = release
    assert fetch_weights(NAME) != first


def test_command_downloads_official_vim(tmp_path):
    name = "vim_tiny_patch16_224.hustvl_in1k"
    official = vim_tensors(width=192, depth=24, states=16, patch=16, tokens=197, classes=1000)
    with FileServer() as server:
        file = "/hustvl/Vim-tiny-midclstok/resolve/main/vim_t_midclstok_76p1acc.pth"
        server.files[file] = saved({"model": official, "args": vim_release({})["args"]})
        environment = os.environ | {
            "HF_ENDPOINT": server.url,
            "HF_HUB_CACHE": str(tmp_path / "hub"),
            "HF_HUB_OFFLINE": "0",
            "MAMBAOUT_CACHE": str(tmp_path / "ours"),
            "OMP_NUM_THREADS": "1",
        }
        done = subprocess.run(
            [sys.executable, "-m", "mambaout.models", "download", name, "vim_huge"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.strip() == "vim_huge: No model is named vim_huge: see timm.list_models()."
    said, _, path = done.stdout.strip().partition(": ")
    assert said == name
    found = load_file(path)
    assert len(found) == 415
    assert all(torch.equal(found[key], official[key]) for key in official)


def test_a_bundled_name_knows_its_twin_that_was_trained_causally(monkeypatch, tmp_path):
    twin = "mambaout_atto.tiny_imagenet_causal"
    assert causal_twin("mambaout_atto.tiny_imagenet") == twin
    assert causal_twin(twin) is None
    assert causal_twin("mambaout_atto") is None
    assert causal_twin("vim_tiny_patch16_224.hustvl_in1k") is None
    assert trained_mixing(twin) == "causal"
    assert trained_mixing("mambaout_atto.tiny_imagenet") == "bidirectional"
    monkeypatch.setenv("MAMBAOUT_CHECKPOINTS", str(tmp_path))
    assert causal_twin("mambaout_atto.tiny_imagenet") is None
