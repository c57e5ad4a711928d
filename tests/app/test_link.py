"""A link says what it may say, and nothing else."""

from __future__ import annotations

import pytest

from app.link import Option, one_of, restored, some_of, whole

OPTIONS = {
    "mix": Option("mixing", one_of(("bidirectional", "causal"))),
    "layer": Option("layer", whole(1, 24)),
    "pathsl": Option("paths", some_of(("forward", "backward")), tuple),
}


def test_what_a_link_says_is_chosen():
    query = {"v": "1", "mix": "causal", "layer": "12", "pathsl": "backward,forward"}
    found = {"mixing": "causal", "layer": 12, "paths": ("backward", "forward")}
    assert restored(query, OPTIONS) == found
    assert restored({"v": "1"}, OPTIONS) == {}


@pytest.mark.parametrize(
    "query",
    [
        {"mix": "causal"},
        {"v": "2", "mix": "causal"},
        {"v": "1", "mix": "Causal"},
        {"v": "1", "mix": "<img src=x onerror=alert(1)>"},
        {"v": "1", "mix": ""},
        {"v": "1", "layer": "0"},
        {"v": "1", "layer": "25"},
        {"v": "1", "layer": "-3"},
        {"v": "1", "layer": "1e1"},
        {"v": "1", "layer": "²"},
        {"v": "1", "layer": "9" * 5000},
        {"v": "1", "pathsl": "forward,sideways"},
        {"v": "1", "pathsl": "forward,forward"},
        {"v": "1", "pathsl": ",".join(["forward"] * 9)},
        {"v": "1", "picture": "/etc/passwd", "paths": "forward"},
    ],
)
def test_what_it_may_not_say_is_passed_over(query):
    assert restored(query, OPTIONS) == {}
    # ... and takes nothing else with it.
    others = {"v": "1", "mix": "causal"} if "mix" not in query else {}
    if query.get("v") == "1" and others:
        assert restored(query | others, OPTIONS) == {"mixing": "causal"}
