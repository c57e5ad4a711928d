"""What the Mixing tab shows for what was chosen, without a page."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from app.lens import payload
from app.mixing.handlers import (
    PLACES,
    Chosen,
    ask_mixings,
    class_chosen,
    paths_chosen,
)
from app.mixing.markup import change
from app.mixing.reads import read_twice
from app.places import Control, Picture
from app.store import DEFAULT_PAIR, LoadedModel
from mambaout import with_paths
from mambaout.evaluation.divergence import js_divergence, kl_divergence
from mambaout.explain import token_reads

MAMBAOUT, VIM = DEFAULT_PAIR
BOTH = Chosen({"left": MAMBAOUT, "right": VIM}, "both", {"left": [], "right": []})


@pytest.fixture(scope="module")
def steps(request):
    rng = np.random.default_rng(3)
    picture = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((120, 90))
    store = request.getfixturevalue("store")
    return store, picture, list(ask_mixings(store, picture, BOTH))


@pytest.fixture(scope="module")
def last(steps):
    return steps[2][-1]


def said(values, side, kind):
    return values["result"].subject(side).variants[kind].answered.said.probabilities


def asked(model, picture, mixing):
    with torch.inference_mode():
        return model.view(mixing)(model.input_of(picture))[0].softmax(0).numpy()


def words(fragment):
    return re.sub(r"<[^>]+>", " ", fragment).replace("&shy;", "")


def test_both_mixings_are_those_of_the_same_weights(steps, last):
    store, picture, _ = steps
    assert set(last) == set(PLACES)
    assert last["status"].startswith("Done in ")
    for side, name in BOTH.names.items():
        for mixing in ("bidirectional", "causal"):
            expected = asked(store.get(name), picture, mixing)
            assert said(last, side, mixing) == pytest.approx(expected, abs=1e-6)
        before, after = said(last, side, "bidirectional"), said(last, side, "causal")
        assert np.abs(after - before).max() > 1e-3
        flipped = before.argmax() != after.argmax()
        chips = words(last[f"{side}_change_says"])
        assert ("Flipped" if flipped else "Top class kept") in chips
        for kind, value in (("KL", kl_divergence), ("JS", js_divergence)):
            shown = re.search(rf"{kind} divergence ([0-9.]+)", chips)[1]
            assert float(shown) == pytest.approx(value(before, after), rel=0.01)


def test_the_table_holds_both_top_fives_and_adds_up(last):
    for side in BOTH.names:
        before, after = said(last, side, "bidirectional"), said(last, side, "causal")
        table = last[f"{side}_table"]
        classes = [int(i) for i in re.findall(r'data-class="(\d+)"', table)]
        assert sorted(classes) == sorted({*np.argsort(-before)[:5], *np.argsort(-after)[:5]})
        points = re.findall(r"([+−±][0-9.]+) points", words(table))
        shown = [float(p.replace("−", "-").replace("±", "")) for p in points]
        assert shown == pytest.approx([100 * (after[i] - before[i]) for i in classes], abs=0.051)


def test_the_maps_are_of_one_class_and_their_difference_is_signed(last):
    for side in BOTH.names:
        subject = last["result"].subject(side)
        heats = {k: v.answered.heat for k, v in subject.variants.items() if v.answered.heat}
        assert {heat.class_index for heat in heats.values()} == {subject.explained}
        assert isinstance(last[f"{side}_bidirectional_heat"], Picture)
        assert isinstance(last[f"{side}_change_heat"], Picture)
        reach = np.abs(heats["causal"].values - heats["bidirectional"].values).max()
        ends = re.findall(r'mo-end">([−0-9.]+)', last[f"{side}_change_caption"])
        assert float(ends[1]) == pytest.approx(reach, rel=0.01)
        assert ends[0] == f"−{ends[1]}"


def test_what_was_trained_causally_is_never_taken_for_the_switch(steps, last):
    store, picture, _ = steps
    twin = f"{MAMBAOUT}_causal"
    assert said(last, "left", "trained") == pytest.approx(
        asked(store.get(twin), picture, "causal"), abs=1e-6
    )
    assert np.abs(said(last, "left", "trained") - said(last, "left", "causal")).max() > 1e-3
    assert "Causal, as trained" in last["left_trained_says"]
    assert "Causal, switched" in last["left_causal_says"]
    assert "This is not the switch" in last["left_trained_heading"]
    table = words(last["left_accuracies"])
    assert table.count("Causal, switched") == table.count("Bidirectional, switched") == 1
    alone = list(
        ask_mixings(store, picture, Chosen({"left": twin, "right": VIM}, "left", BOTH.paths))
    )[-1]
    assert "Causal, as trained" in alone["left_causal_says"]
    assert "Bidirectional, switched" in alone["left_bidirectional_says"]
    assert "opens paths that took no part" in alone["left_switched"]
    assert "trained causally themselves" in alone["left_trained_heading"]
    assert alone["right_box"] is False


def test_every_caveat_stands_where_it_belongs(last):
    assert "not retrain it" in last["right_switched"]
    assert "25 of the 49 taps" in last["left_causal_says"]
    assert "not halved" in last["right_causal_says"]
    assert "lower half of the picture" in last["right_causal_says"]
    assert "few pixels ahead" in last["right_causal_caption"]
    assert "few pixels ahead" not in last["right_bidirectional_caption"]
    assert "no evidence for or against the paper" in last["right_table"]


def test_paths_are_offered_when_all_is_there(steps):
    """A later step would take back what was chosen in between."""
    *on_the_way, last = steps[2]
    told = [step for step in on_the_way if "right_paths_heading" in step]
    assert any("no scan paths" not in step["right_paths_heading"] for step in told)
    assert all(step.get("right_paths_choice") is None for step in on_the_way)
    assert last["right_paths_choice"].choices


def test_paths_alone_and_all_of_them(steps, last):
    store, picture, _ = steps
    assert last["left_paths_choice"] is None
    assert "no scan paths to choose from" in last["left_paths_heading"]
    assert last["right_paths_choice"] == Control([], ("forward", "backward"))
    alone = list(paths_chosen(store, last["result"], "right", ["backward"]))[-1]
    model = store.get(VIM)
    with torch.inference_mode():
        view = with_paths(model.model, ["backward"])
        expected = view(model.input_of(picture))[0].softmax(0).numpy()
    assert said(alone, "right", "paths") == pytest.approx(expected, abs=1e-6)
    assert np.abs(expected - said(last, "right", "causal")).max() > 1e-3
    assert "Only these run: backward." in alone["right_paths_says"]
    assert "mean over the paths" in alone["right_paths_says"]
    assert isinstance(alone["right_pathchange_heat"], Picture)
    kept = alone["result"].subject("right").variants
    assert kept["causal"] is last["result"].subject("right").variants["causal"]
    every = list(paths_chosen(store, alone["result"], "right", ["forward", "backward"]))[-1]
    assert said(every, "right", "paths") == pytest.approx(
        said(last, "right", "bidirectional"), abs=1e-6
    )
    none = list(paths_chosen(store, every["result"], "right", []))[-1]
    assert none["right_paths_box"] is False


def test_another_class_is_explained_in_every_answer(steps, last):
    store, _, _ = steps
    shown = last["result"]
    other = (shown.subject("left").explained + 1) % 24
    done = list(class_chosen(store, shown, "left", other))[-1]["result"]
    variants = done.subject("left").variants.values()
    assert {v.answered.heat.class_index for v in variants if v.answered.heat} <= {other}
    assert done.subject("right") is shown.subject("right")


def test_a_model_that_cannot_be_switched_says_why_and_keeps_the_rest(steps, monkeypatch):
    store, picture, _ = steps
    view = LoadedModel.view

    def no_causal(model, mixing):
        if mixing == "causal" and model.card.name == VIM:
            raise TypeError("its states have no order")
        return view(model, mixing)

    monkeypatch.setattr(LoadedModel, "view", no_causal)
    done = list(ask_mixings(store, picture, BOTH))[-1]
    assert "cannot be switched. Its states have no order." in words(done["right_causal_says"])
    assert done["right_table"] == ""
    assert change(done["result"].subject("right"), "causal") == ""
    assert isinstance(done["right_bidirectional_heat"], Picture)
    assert done["left_table"]


def twice(store, picture, names, place=(0.5, 0.5), layers=None):
    """What the lens of the tab is given, by side."""
    layers = layers or {"left": None, "right": None}
    return list(read_twice(store, picture, names, layers, place))[-1][0]


# The last place is where Vim has its class token before the patch.
@pytest.mark.parametrize("place", [(0.5, 0.5), (0.3, 0.2), (0.99, 0.99), (0.13, 0.53)])
def test_reads_of_both_mixings_and_what_sets_them_apart(steps, place):
    store, picture, _ = steps
    for side, panes in twice(store, picture, BOTH.names, place).items():
        whole, causal, change = panes.looks
        before, after, changed = (rows.weights[0] for rows in panes.rows)
        (at,) = {int(rows.patches[0]) for rows in panes.rows}
        model = store.get(BOTH.names[side])
        measured = {}
        for mixing in ("bidirectional", "causal"):
            view, image = model.view(mixing), model.input_of(picture)
            middle = token_reads(view, image, whole.layer, rows=[0]).class_token_index
            token = at + (middle is not None and at >= middle)
            (measured[mixing],) = token_reads(view, image, whole.layer, rows=[token]).patches()
        later = np.arange(len(before)) > at
        # Bidirectional does read later tokens, all but the last one: the rest would prove nothing.
        assert (measured["bidirectional"][later] > 0).any() == (at < len(before) - 1)
        assert before == pytest.approx(measured["bidirectional"], rel=1e-4, abs=1e-9)
        assert after == pytest.approx(measured["causal"], rel=1e-4, abs=1e-9)
        assert np.abs(changed).max() > 1e-3 * before.max()
        np.testing.assert_array_equal(changed, after - before)
        assert (after[later] == 0).all()
        np.testing.assert_array_equal(changed[later], -before[later])
        assert change.signed
        assert not whole.signed
        first = 0 if side == "left" else 3
        assert (whole.scale, causal.scale, change.scale) == (first, first, None)
        assert change.of == (first + 1, first)
        assert change.title.endswith("causal minus bidirectional")


def test_reads_say_what_a_reader_must_know(steps):
    store, picture, _ = steps
    found = twice(store, picture, BOTH.names)
    left, right = (found[side].looks for side in ("left", "right"))
    assert "25 of the 49 taps" in " ".join(left[1].notes)
    assert "lower half of the picture" in " ".join(right[1].notes)
    assert "class token is no patch" in " ".join(right[0].notes)
    assert not any("class token" in note for look in left for note in look.notes)
    assert "layers before this one are causal too" in " ".join(right[2].notes)
    trained = twice(store, picture, {"left": f"{MAMBAOUT}_causal"})["left"].looks
    assert "this is the mixing it has learnt" in " ".join(trained[1].notes)
    assert "taps" not in " ".join(trained[1].notes)
    first = {"left": None, "right": right[0].layers[0]}
    panes = twice(store, picture, {"right": VIM}, layers=first)["right"]
    assert panes.looks[2].notes == ()


def test_without_a_causal_form_nothing_is_taken_away(steps, monkeypatch):
    store, picture, _ = steps
    view = LoadedModel.view

    def no_causal(model, mixing):
        if mixing == "causal" and model.card.name == VIM:
            raise TypeError("its states have no order")
        return view(model, mixing)

    monkeypatch.setattr(LoadedModel, "view", no_causal)
    found = twice(store, picture, BOTH.names)
    whole, missing = found["right"].looks
    assert not whole.error
    assert missing.error == "This model cannot be switched. Its states have no order."
    assert len(found["right"].rows) == 1
    assert len(found["left"].rows) == 3
    sent = json.loads(payload.whole("", found["right"].looks, "", [], coming=False))
    assert sent["panes"][1]["error"] == missing.error


def test_a_model_chosen_twice_is_asked_once(steps):
    store, picture, _ = steps
    twice = Chosen({"left": VIM, "right": VIM}, "both", {"left": [], "right": []})
    done = list(ask_mixings(store, picture, twice))[-1]
    assert [subject.side for subject in done["result"].subjects] == ["left"]
    assert done["right_box"] is False
