"""Many clients at once, through the real server: none lost, every answer right to the last bit."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from PIL import ImageOps

from app.store import DEFAULT_PAIR
from tests.app.serving import Caller, launched, png

MAMBAOUT, VIM = DEFAULT_PAIR
CLIENTS, SECONDS = 32, 4
QUESTIONS = (
    ("classify", (MAMBAOUT, "bidirectional", 24)),
    ("classify", (VIM, "causal", 24)),
    ("compare", (MAMBAOUT, VIM, "causal", "gradcam")),
)


def test_many_clients_get_what_each_would_get_alone(new_store, picture):
    pictures = [png(p) for p in (picture, ImageOps.mirror(picture), ImageOps.flip(picture))]
    asked = [(image, question) for image in pictures for question in QUESTIONS]
    with launched(new_store()) as address, Caller(address) as caller:
        alone = [caller.call(q, caller.upload(image), *rest) for image, (q, rest) in asked]
    assert all(event == "complete" for event, _ in alone)

    with launched(new_store()) as address:  # another one, which remembers no answer
        end = time.monotonic() + SECONDS

        def visit(number):
            ends = []
            with Caller(address) as caller:
                at = number
                while not ends or time.monotonic() < end:
                    image, (endpoint, rest) = asked[at % len(asked)]
                    found = caller.call(endpoint, caller.upload(image), *rest)
                    ends.append((at % len(asked), found))
                    at += 1
            return ends

        with ThreadPoolExecutor(CLIENTS) as clients:
            ends = [end for visited in clients.map(visit, range(CLIENTS)) for end in visited]
    assert len(ends) >= CLIENTS
    answered = [(which, found) for which, found in ends if found[0] == "complete"]
    refused = [found for _, found in ends if found[0] != "complete"]
    assert all(found == alone[which] for which, found in answered)
    assert all("full" in str(value).lower() for _, value in refused), refused[:3]
    assert {which for which, _ in answered} == {*range(len(asked))}
