"""Every test runs alone on this machine: no network, no cache of the user's, fixed seeds."""

from __future__ import annotations

import atexit
import ipaddress
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

# Caches and temporary files of this run. Set before any package reads them on being imported.
_SCRATCH = Path(tempfile.mkdtemp(prefix="mambaout-tests-"))
atexit.register(shutil.rmtree, _SCRATCH, ignore_errors=True)
os.environ |= {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_TEMP_DIR": str(_SCRATCH / "gradio"),
    "HF_HOME": str(_SCRATCH / "huggingface"),
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MAMBAOUT_CACHE": str(_SCRATCH / "mambaout"),
    "MPLCONFIGDIR": str(_SCRATCH / "matplotlib"),
    "TORCH_HOME": str(_SCRATCH / "torch"),
    "XDG_CACHE_HOME": str(_SCRATCH / "cache"),
}
for _name in ("MAMBAOUT_CHECKPOINTS", "ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
    os.environ.pop(_name, None)
    os.environ.pop(_name.lower(), None)

import numpy as np  # noqa: E402 - after the environment it reads
import pytest  # noqa: E402
import torch  # noqa: E402

# Triton reads this once, when whoever is first imports it.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"


class LeftThisMachine(OSError):
    """A test that is not marked `network` tried to reach another machine."""


class NetworkGuard:
    """Refuses, and remembers, whatever would leave this machine.

    Remembers, because what is refused inside a thread or a retry loop is easily swallowed there.
    """

    def __init__(self) -> None:
        self.refused: list[str] = []
        self.open = False

    def __call__(self, event, args):
        """Audit hook: `args` are those of the event, as the socket module documents them."""
        if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
            address = args[1]
            # a path or None: a UNIX socket, or a socket that is connected already
            host = address[0] if isinstance(address, tuple) else None
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            host = args[0]
        else:
            return
        if self.open or stays_here(host):
            return
        self.refused.append(f"{event} {host}")
        raise LeftThisMachine(f"tests stay on this machine, but {event} asked for {host!r}")


def stays_here(host: str | bytes | None) -> bool:
    """Whether what is sent to `host` stays on this machine."""
    host = host.decode() if isinstance(host, bytes) else host
    if host in {None, "", "localhost"}:
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:  # a name: looking it up asks another machine
        return False
    return address.is_loopback or address.is_unspecified


_GUARD = NetworkGuard()
sys.addaudithook(_GUARD)


@pytest.fixture(autouse=True)
def network_guard(request):
    """Fail the test that tried to leave this machine, also where nobody saw the error.

    A test of the guard itself empties `refused` before it ends.
    """
    _GUARD.open = request.node.get_closest_marker("network") is not None
    yield _GUARD
    _GUARD.open = False
    refused, _GUARD.refused = _GUARD.refused, []
    if refused:
        pytest.fail(f"the test tried to leave this machine: {', '.join(refused)}")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """The order in which threads add up their sums changes the last bits of a result."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seeds():
    """Whatever draws without a generator of its own draws the same in every run."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the state that third-party packages draw from
    torch.manual_seed(0)
