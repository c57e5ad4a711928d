"""What hosts read of the project: the settings of a Space, the recipe of a container."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path

import pytest
from huggingface_hub import RepoCard
from packaging.specifiers import SpecifierSet

from mambaout.models.weights import declared_weights

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")

# huggingface.co/docs/hub/spaces-config-reference, August 2026.
KEYS = {
    "title", "emoji", "colorFrom", "colorTo", "sdk", "python_version", "sdk_version", "app_file",
    "suggested_hardware", "suggested_storage", "app_port", "base_path", "fullWidth", "header",
    "short_description", "models", "datasets", "tags", "thumbnail", "pinned", "hf_oauth",
    "disable_embedding", "startup_duration_timeout", "custom_headers", "preload_from_hub",
    "license",
}  # fmt: skip
COLOURS = {"red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray"}


@pytest.fixture(scope="module")
def space():
    """The settings as the Hub reads them."""
    return RepoCard(README, ignore_metadata_errors=False).data.to_dict()


def test_every_setting_is_one_that_spaces_know(space):
    assert space.keys() <= KEYS
    assert space["sdk"] == "gradio"
    assert (ROOT / space["app_file"]).is_file()
    assert {space["colorFrom"], space["colorTo"]} <= COLOURS
    assert len(space["short_description"]) <= 60
    assert re.fullmatch(r"\d+(m|h)", space["startup_duration_timeout"])


def test_the_gradio_of_the_space_is_one_that_the_page_takes(space):
    [bounds] = re.findall(r"^gradio(\S+)$", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert space["sdk_version"] in SpecifierSet(bounds)
    assert metadata.version("gradio") in SpecifierSet(bounds)
    [python] = re.findall(
        r'^requires-python = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert f"{space['python_version']}.0" in SpecifierSet(python)


def test_what_is_preloaded_is_what_the_models_ask_the_hub_for(space):
    declared = {
        (weights.hf_hub_id, weights.hf_hub_filename or "model.safetensors")
        for weights in map(
            declared_weights, ("mambaout_femto.in1k", "vim_tiny_patch16_224.hustvl_in1k")
        )
    }
    preloaded = {tuple(line.split()[:2]) for line in space["preload_from_hub"]}
    assert preloaded == declared
    assert len(preloaded) <= 10


def instructions():
    """The Dockerfile's instructions with what they are given, lines that go on joined."""
    recipe = re.sub(
        r"^#.*\n", "", (ROOT / "Dockerfile").read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    lines = recipe.replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def test_the_container_listens_where_it_says_and_keeps_what_it_downloads():
    found = dict(instructions())  # the last of each kind
    environment = dict(part.split("=", 1) for part in found["ENV"].split())
    assert environment["GRADIO_SERVER_NAME"] == "0.0.0.0"
    assert environment["GRADIO_SERVER_PORT"] == found["EXPOSE"]
    caches = ("HF_HOME", "MAMBAOUT_CACHE", "NUMBA_CACHE_DIR")
    assert all(environment[name].startswith(f"{found['VOLUME']}/") for name in caches)
    [made] = [given for kind, given in instructions() if kind == "RUN" and "useradd" in given]
    assert made.split()[-1] == found["USER"]
    assert any(
        kind == "RUN" and f"chown -R {found['USER']}:{found['USER']} {found['VOLUME']}" in given
        for kind, given in instructions()
    )
    assert json.loads(found["CMD"]) == ["python", "app.py"]
    assert found["STOPSIGNAL"] == "SIGINT"  # the first process of a container ignores SIGTERM
    version = found["FROM"].removeprefix("python:").removesuffix("-slim")
    [python] = re.findall(
        r'^requires-python = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE
    )
    assert f"{version}.0" in SpecifierSet(python)


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (None, False)])
def test_the_health_check_asks_the_page(status, healthy):
    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            """Nothing."""

    given = dict(instructions())["HEALTHCHECK"]
    command = json.loads(given.partition("CMD ")[2])
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_port if status else 1}"
        [asked] = re.findall(r"127\.0\.0\.1:\d+", command[-1])
        assert asked.endswith(f":{dict(instructions())['EXPOSE']}")
        done = subprocess.run(
            [sys.executable, *command[1:-1], command[-1].replace(asked, address)],
            check=False, capture_output=True, timeout=120,
        )  # fmt: skip
        server.shutdown()
    assert (done.returncode == 0) == healthy


def test_the_container_has_what_the_page_needs_and_runs_as_nobody_special():
    recipe = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {
        name
        for line in re.findall(r"^COPY (.*) \S+$", recipe, re.MULTILINE)
        for name in line.split()
    }
    kept = re.findall(
        r"^!(.*)$", (ROOT / ".dockerignore").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert copied == {*kept}
    assert all((ROOT / name).exists() for name in copied)
    assert {"app", "app.py", "mambaout", "checkpoints", "requirements.txt"} <= copied
    instructions = [line.split()[0] for line in recipe.splitlines() if re.match(r"[A-Z]+ ", line)]
    assert instructions.index("USER") < instructions.index("CMD")
    assert "HEALTHCHECK" in instructions
