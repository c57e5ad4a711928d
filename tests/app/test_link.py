"""A link says what it may say, and nothing else."""

from __future__ import annotations

import gradio as gr
import pytest

from app.late_choices import LateDropdown, LateRadio
from app.lens.place import layer_name, read_place
from app.link import Option, passed_over, restored
from app.link_readers import one_of, some_of, whole, yes_or_no

OPTIONS = {
    "mix": Option("mixing", one_of(("bidirectional", "causal"))),
    "layer": Option("layer", whole(1, 24)),
    "pathsl": Option("paths", some_of(("forward", "backward")), tuple),
    "signed": Option("signed", yes_or_no),
    "at": Option("place", read_place),
    "lensl": Option("lens layer", layer_name),
}


def test_what_a_link_says_is_chosen():
    query = {"v": "1", "mix": "causal", "layer": "12", "pathsl": "backward,forward"}
    found = {"mixing": "causal", "layer": 12, "paths": ("backward", "forward")}
    assert restored(query, OPTIONS) == found
    assert passed_over(query, OPTIONS) == []
    lens = {"signed": "1", "at": "0.6563,1", "lensl": "stages.2.blocks.0"}
    found = {"signed": True, "place": "0.6563,1", "lens layer": "stages.2.blocks.0"}
    assert restored({"v": "1"} | lens, OPTIONS) == found
    assert restored({"v": "1", "signed": "0"}, OPTIONS) == {"signed": False}
    assert restored({"v": "1"}, OPTIONS) == restored({}, OPTIONS) == {}
    assert passed_over({"v": "1"}, OPTIONS) == passed_over({"lang": "fr"}, OPTIONS) == []


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
        {"v": "1", "signed": "true"},
        {"v": "1", "signed": ""},
        {"v": "1", "at": "0.5"},
        {"v": "1", "at": "0.5,1.2"},
        {"v": "1", "at": "-0.5,0.5"},
        {"v": "1", "at": "NaN,0.5"},
        {"v": "1", "at": "0.5,0.5,0.5"},
        {"v": "1", "at": "0.5,0.5\n"},
        {"v": "1", "lensl": "layers"},
        {"v": "1", "lensl": "layers.__class__.A"},
        {"v": "1", "lensl": "layers.1.mixer<script>"},
        {"v": "1", "lensl": ".".join(["layers"] * 500)},
        {"v": "1", "picture": "/etc/passwd", "paths": "forward"},
    ],
)
def test_what_it_may_not_say_is_passed_over(query):
    assert restored(query, OPTIONS) == {}
    # ... and takes nothing else with it.
    others = {"v": "1", "mix": "causal"} if "mix" not in query else {}
    named = [key for key in query if key in OPTIONS] if query.get("v") == "1" else []
    assert passed_over(query, OPTIONS) == (["v"] if query.get("v") == "2" else named)
    if query.get("v") == "1" and others:
        assert restored(query | others, OPTIONS) == {"mixing": "causal"}


def test_a_choice_of_a_model_that_was_left_is_handed_on():
    chooser = LateDropdown(["layers.0.mixer"])
    with pytest.raises(gr.Error):
        gr.Dropdown(["layers.0.mixer"]).preprocess("stages.0.blocks.1")
    assert chooser.preprocess("stages.0.blocks.1") == "stages.0.blocks.1"
    assert chooser.preprocess(["stages.0.blocks.1"]) is None
    assert LateRadio(["forward"]).preprocess("row") == "row"
