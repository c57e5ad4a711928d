"""The guard in conftest.py lets nothing out, and lets everything on this machine through."""

from __future__ import annotations

import socket
import threading

import pytest

ELSEWHERE = "192.0.2.1"  # reserved for documentation (RFC 5737): nobody answers there


def udp_to(host):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.sendto(b"?", (host, 9))


@pytest.mark.parametrize(
    "leave",
    [
        lambda: socket.create_connection((ELSEWHERE, 9), timeout=1),
        lambda: socket.getaddrinfo("example.org", 443),
        lambda: socket.gethostbyname("example.org"),
        lambda: udp_to(ELSEWHERE),
    ],
    ids=["connect", "getaddrinfo", "gethostbyname", "sendto"],
)
def test_leaving_is_refused_and_remembered(network_guard, leave):
    with pytest.raises(OSError, match="stay on this machine"):
        leave()
    assert len(network_guard.refused) == 1
    network_guard.refused.clear()


def test_what_a_thread_swallowed_is_remembered(network_guard):
    def try_in_silence():
        try:
            socket.create_connection((ELSEWHERE, 9), timeout=1)
        except OSError:
            return

    thread = threading.Thread(target=try_in_silence)
    thread.start()
    thread.join()
    assert network_guard.refused
    network_guard.refused.clear()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_can_be_reached(network_guard, host):
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection((host, server.getsockname()[1]), timeout=5) as client,
    ):
        client.sendall(b"ping")
        connection, _ = server.accept()
        with connection:
            assert connection.recv(4) == b"ping"
    assert network_guard.refused == []
