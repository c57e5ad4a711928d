"""Two copies of the page behind nginx, configured as docs/hosting.md says."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from app.store import DEFAULT_PAIR
from tests.app.serving import Caller, launched, png
from tests.free_port import free_port

DOCUMENT = Path(__file__).parents[2] / "docs" / "hosting.md"
CHOICES = (DEFAULT_PAIR[0], "bidirectional", 3)
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")

pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")


@contextlib.contextmanager
def balanced(folder, ports, *, sticky):
    """The address of an nginx in front of pages at `ports`."""
    [settings] = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    front = free_port()
    for documented, port in zip((7861, 7862), ports, strict=True):
        settings = settings.replace(f"127.0.0.1:{documented}", f"127.0.0.1:{port}")
    settings = settings.replace("listen 8080", f"listen 127.0.0.1:{front}")
    if not sticky:
        settings = re.sub(r"^ *hash .*$", "", settings, flags=re.MULTILINE)
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"{'user root;' if os.geteuid() == 0 else ''}\n"  # else it may not write into the folder
        f"daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/errors;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}{settings}}}\n"
    )
    process = subprocess.Popen(
        [NGINX, "-e", f"{folder}/errors", "-p", str(folder), "-c", f"{folder}/nginx.conf"]
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", front)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{front}"
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def copies(new_store):
    """The ports of two pages."""
    with launched(new_store()) as one, launched(new_store()) as other:
        yield [int(address.rpartition(":")[2]) for address in (one, other)]


def test_a_visitor_stays_with_one_copy(copies, tmp_path, picture):
    with balanced(tmp_path, copies, sticky=True) as address, Caller(address) as caller:
        uploaded = caller.upload(png(picture))
        answers = [caller.call("classify", uploaded, *CHOICES) for _ in range(6)]
    with Caller(f"http://127.0.0.1:{copies[1]}") as alone:
        assert answers == [alone.call("classify", alone.upload(png(picture)), *CHOICES)] * 6
    assert answers[0][0] == "complete"


def test_by_turns_calls_fail(copies, tmp_path, picture):
    """Why the line about the hash is there."""
    with balanced(tmp_path, copies, sticky=False) as address, Caller(address) as caller:
        uploaded = caller.upload(png(picture))
        ends = []
        for _ in range(4):
            with contextlib.suppress(Exception):
                ends.append(caller.call("classify", uploaded, *CHOICES)[0])
    assert ends.count("complete") < 4


def test_the_page_is_found_under_its_public_name(copies, tmp_path):
    with balanced(tmp_path, copies, sticky=True) as address:
        answer = httpx.get(address, headers={"Host": "mamba.example"}, timeout=60)
        assert answer.status_code == 200
        assert "http://mamba.example" in answer.text
        direct = httpx.get(
            f"http://127.0.0.1:{copies[0]}", headers={"Host": "mamba.example"}, timeout=60
        )
        assert direct.status_code == 421
