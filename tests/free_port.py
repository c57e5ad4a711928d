"""Ports for servers that cannot say which one they were given."""

from __future__ import annotations

import random
import socket

_draw = random.SystemRandom()  # other processes that test draw other ports


def free_port():
    """A port of this machine that nobody uses.

    Nor will anybody before it is used: systems take those of clients from higher up.
    """
    while True:
        port = _draw.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
