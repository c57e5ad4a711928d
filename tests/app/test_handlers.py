"""What the page shows for what was chosen, without a page."""

from __future__ import annotations

import html
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from app import background
from app.compare import request as compare_module
from app.compare.handlers import (
    PLACES,
    View,
    ask_both,
    check,
    explain_by,
    explain_depth,
    explain_rival,
    explain_row,
    heat_maps,
    scan_again,
    scan_maps,
)
from app.compare.request import compare
from app.markup import card_head, causal_caution
from app.numbers import number
from app.places import Control, Picture
from app.store import DEFAULT_PAIR, weights_card
from app.warm_up import warm_up
from mambaout import explain
from mambaout.catalogue.status import WeightsStatus
from mambaout.errors import ExplanationError, WeightsUnavailable
from mambaout.evaluation.novelty import Hint, novelty_hint
from mambaout.pictures.overlay import per_area

SWAPPED = DEFAULT_PAIR[::-1]


def asked(store, picture, names=DEFAULT_PAIR, mixing="bidirectional", method="gradcam", **view):
    return list(ask_both(store, picture, names, mixing, method, View(**view)))


@pytest.fixture(scope="module")
def stages(request):
    store = request.getfixturevalue("store")
    rng = np.random.default_rng(3)
    picture = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((120, 90))
    return store, picture, asked(store, picture)


@pytest.fixture(scope="module")
def last(stages):
    return stages[2][-1]


@pytest.fixture(scope="module")
def shown(last):
    return last["result"]


def test_the_page_fills_step_by_step(stages):
    _, _, steps = stages
    order = []
    for step in steps[:-1]:
        order += [place for place in step if step[place] and place not in order]
        assert step["status"]
    first = order.index
    assert first("left_answer") < first("right_answer") < first("left_heat")
    assert "right_scan" not in order  # it comes with the last value


def test_the_last_value_holds_every_place(last):
    assert set(last) == set(PLACES)
    assert last["status"].startswith("Done in ")
    assert isinstance(last["left_heat"], Picture)
    assert isinstance(last["right_scan"], Picture)


def test_answers_are_the_five_best_probabilities(stages, last):
    store, picture, _ = stages
    loaded = store.get(DEFAULT_PAIR[0])
    expected = loaded.model(loaded.input_of(picture))[0].softmax(0)
    best = expected.topk(5)
    labels = [loaded.vocabulary.labels[i] for i in best.indices]
    assert list(last["left_answer"]) == labels
    assert list(last["left_answer"].values()) == pytest.approx(best.values.tolist(), abs=1e-6)


def test_a_model_without_a_scan_says_why(last):
    assert last["left_scan"] is None
    assert "MambaOut has no scan" in last["left_scan_caption"]
    assert "7x7 depthwise convolution" in last["left_scan_caption"]
    assert "sees the 7 × 7 around it" in last["left_scan_caption"]
    swapped = scan_maps(replace(last["result"], sides=last["result"].sides[::-1]), View())
    assert isinstance(swapped["left_scan"], Picture)
    assert "MambaOut has no scan" in swapped["right_scan_caption"]


def test_the_switch_shows_the_change_on_the_same_weights(stages, last):
    store, picture, _ = stages
    causal = asked(store, picture, mixing="causal")[-1]
    for i, side in enumerate(("left", "right")):
        before, after = last["result"].sides[i].answer, causal["result"].sides[i].answer
        assert np.abs(after.probabilities - before.probabilities).max() > 1e-4
        assert (after.bidirectional == before.probabilities).all()
        assert before.bidirectional is None
        assert last[f"{side}_change"] == ""
        assert "points" in causal[f"{side}_change"]
        flipped = before.top != after.top
        assert ("Flipped" if flipped else "Top class kept") in causal[f"{side}_change"]
    assert not last["caution"]
    for words in ("not retrain", "25 of the 49", "lower half", "few pixels ahead", "no evidence"):
        assert words in causal["caution"]


def test_the_caution_knows_which_weights_were_trained_causally(last):
    """Said of a model trained causally, that it was trained bidirectionally would be a lie."""

    def caution(mixing, *names):
        sides = last["result"].sides
        renamed = tuple(
            replace(side, facts=replace(side.facts, card=replace(side.facts.card, name=name)))
            for side, name in zip(sides, names, strict=True)
        )
        return causal_caution(replace(last["result"], sides=renamed, mixing=mixing))

    plain = ("mambaout_atto.tiny_imagenet", "vim_atto.tiny_imagenet")
    twins = tuple(f"{name}_causal" for name in plain)
    assert caution("bidirectional", *plain) == ""
    assert "took no part in its training" in caution("bidirectional", plain[0], twins[1])
    both = caution("causal", *twins)
    assert "trained bidirectionally" not in both
    assert "lower half" not in both
    assert both.count("this is the mixing it has learnt") == 2
    mixed = caution("causal", plain[0], twins[1])
    for words in ("trained bidirectionally", "25 of the 49", "this is the mixing it has learnt"):
        assert words in mixed
    assert "lower half" not in mixed


def test_a_causal_scan_has_its_forward_path_alone(stages):
    store, picture, _ = stages
    causal = asked(store, picture, mixing="causal", path="backward")[-1]
    assert causal["path"] == Control("forward", ("forward",))
    assert "sees 25 of the 7 × 7 around it" in causal["left_scan_caption"]
    assert "forward path" in causal["right_scan_caption"]


def test_one_scale_for_both_maps_or_one_each(shown):
    shared, own = heat_maps(shown, View()), heat_maps(shown, View(shared_scale=False))
    peaks = [float(per_area(side.heat.values).max()) for side in shown.sides]
    faint = int(np.argmin(peaks))
    name = ("left", "right")[faint]
    assert peaks[faint] < peaks[1 - faint]
    brightest = [np.asarray(maps[f"{name}_heat"].image).max() for maps in (shared, own)]
    assert brightest[0] < brightest[1]
    assert f">{number(max(peaks))}<" in shared["heat_legend"]
    assert "mo-legend" in shared["heat_legend"]
    assert "mo-legend" not in own["heat_legend"]
    for side in ("left", "right"):
        assert "mo-legend" not in shared[f"{side}_heat_caption"]
        assert "mo-legend" in own[f"{side}_heat_caption"]


def test_maps_are_described_in_words(last):
    assert last["left_heat"].alt.startswith("Grad-CAM of MambaOut-Atto for thing ")
    assert "strongest in the " in last["left_heat"].alt
    assert "Step size Δ of Vim-Atto, layer 1, forward path" in last["right_scan"].alt
    assert "Class token: " in last["right_scan_caption"]
    assert "scan steps" in last["right_scan_caption"]


@pytest.mark.parametrize("quantity", ["delta", "retention", "half_life", "state_norm", "read"])
def test_every_quantity_is_drawn_with_its_unit(shown, quantity):
    maps = scan_maps(shown, View(quantity=quantity, layer=3, path="backward"))
    path = next(p for p in shown.sides[1].trace if (p.layer_index, p.path) == (2, "backward"))
    assert path.units[quantity] in html.unescape(maps["right_scan_caption"])
    assert "Layer 3, backward path" in maps["right_scan_caption"]
    assert maps["layer"] == Control(3, (1, 8))
    assert maps["path"] == Control("backward", ("forward", "backward"))
    before = scan_maps(shown, View(quantity=quantity, layer=2, path="backward"))
    assert np.any(np.asarray(before["right_scan"].image) != np.asarray(maps["right_scan"].image))


def test_a_chooser_that_moved_is_not_moved_back(shown):
    again = scan_again(shown, View(layer=2))
    assert "Layer 2," in again["right_scan_caption"]
    assert "layer" not in again


def test_a_layer_beyond_the_last_is_the_last(shown):
    assert "Layer 8," in scan_maps(shown, View(layer=99))["right_scan_caption"]


def test_a_row_is_explained_on_both_sides(stages, shown):
    store, _, _ = stages
    label = shown.sides[0].facts.vocabulary.labels[shown.sides[0].answer.best()[3]]
    done = list(explain_row(store, shown, 0, label, View()))[-1]
    index = shown.sides[0].facts.vocabulary.index_of_label(label)
    assert [side.explained for side in done["result"].sides] == [index, index]
    assert f"Explaining {label}." in done["heat_heading"]
    for i in (0, 1):
        heat = done["result"].sides[i].heat
        assert heat is None or heat.class_index == index
        assert done["result"].sides[i].answer is shown.sides[i].answer


def test_a_class_that_the_other_does_not_know_leaves_its_map(stages, shown):
    store, _, _ = stages
    right = shown.sides[1]
    keys = tuple(f"other {i}" for i in range(24))
    vocabulary = replace(right.facts.vocabulary, keys=keys)
    facts = replace(right.facts, vocabulary=vocabulary)
    answer = replace(right.answer, vocabulary=vocabulary)
    strange = shown.with_side(1, replace(right, facts=facts, answer=answer))
    label = shown.sides[0].facts.vocabulary.labels[0]
    done = list(explain_row(store, strange, 0, label, View()))[-1]
    assert done["result"].sides[1].explained == right.answer.top
    assert f"Vim-Atto has no class {label}" in done["right_heat_caption"]
    assert "Different classes (24 and 24)" in done["verdict"]


def test_another_method_explains_the_same_classes(stages, shown):
    store, _, _ = stages
    done = list(explain_by(store, shown, "hirescam", View()))[-1]
    assert [s.explained for s in done["result"].sides] == [s.explained for s in shown.sides]
    assert all(side.heat.signed for side in done["result"].sides)
    assert done["left_heat"].alt.startswith("HiResCAM of ")
    assert 'class="mo-zero">0<' in done["heat_legend"]


def test_one_model_that_cannot_be_had_leaves_the_other(new_store, picture):
    store = new_store()
    missing = WeightsStatus(
        "unavailable", "Not downloaded yet, and offline mode is on.", None, None
    )
    store.offer = [store.offer[0], replace(store.offer[1], weights=missing)]
    done = asked(store, picture)[-1]
    assert len(done["left_answer"]) == 5
    assert done["right_answer"] is None
    assert "offline mode is on" in done["right_head"]
    assert "No answer from Vim-Atto" in done["verdict"]
    assert isinstance(done["left_heat"], Picture)
    assert done["right_heat"] is None
    assert set(done) == set(PLACES)


def test_a_download_shows_how_far_it_is(new_store, picture, monkeypatch):
    monkeypatch.setattr(background, "POLL_SECONDS", 0.02)
    go_on = threading.Event()

    def slow(name, progress):
        progress(12_000_000, 29_000_000)
        assert go_on.wait(60)
        raise WeightsUnavailable("The Hub answered 404.")

    steps = ask_both(new_store(build=slow), picture, SWAPPED, "causal", "gradcam", View())
    status = ""
    while "Downloading" not in status:
        status = next(steps)["status"]
    assert status == "Downloading Vim-Atto: 12 MB of 29 MB"
    go_on.set()
    assert "404" in list(steps)[-1]["left_head"]


def test_a_map_that_cannot_be_made_has_a_reason(store, picture, monkeypatch):
    def refuses(*args, **options):
        raise ExplanationError("the map is zero everywhere")

    monkeypatch.setattr(explain, "grad_cam", refuses)
    done = asked(store, picture)[-1]
    assert done["left_heat"] is None
    assert "The map is zero everywhere." in done["left_heat_caption"]
    assert isinstance(done["right_scan"], Picture)


def test_without_a_picture_there_is_one_sentence(store):
    assert asked(store, None) == [{"status": "Choose a picture to begin."}]
    assert next(explain_row(store, None, 0, "lion", View()))["status"]
    assert next(explain_by(store, None, "gradcam", View()))["status"]


def test_a_result_is_arrays_alone(shown):
    for side in shown.sides:
        for value in vars(side).values():
            assert not type(value).__module__.startswith("torch")


def test_asking_changes_nothing(store, picture):
    store.get(DEFAULT_PAIR[0])
    before = [p.clone() for name in DEFAULT_PAIR for p in store.get(name).model.parameters()]
    asked(store, picture, mixing="causal")
    models = [store.get(name).model for name in DEFAULT_PAIR]
    after = [p for model in models for p in model.parameters()]
    assert all((a == b).all() for a, b in zip(after, before, strict=True))
    assert not any(p.requires_grad or p.grad is not None for p in after)
    assert not any(m._forward_hooks for model in models for m in model.modules())


def test_warming_up_loads_the_first_pair(new_store):
    store = new_store()
    warm_up(store)
    assert all(store.holds(name) for name in DEFAULT_PAIR)
    names = list(compare(store, *_request()))
    assert names[-1][0].answered


def _request():
    return Image.new("RGB", (64, 64), "orange"), SWAPPED, "bidirectional"


def test_the_map_of_another_layer_is_asked_for_on_one_side_alone(stages, shown):
    store = stages[0]
    *_, values = explain_depth(store, shown, 1, 3, View())
    left, right = values["result"].sides
    assert left.heat is shown.sides[0].heat
    assert right.heat.layer == right.facts.layers[2] != shown.sides[1].heat.layer
    assert right.heat.layer in values["right_heat_caption"]
    # The slider that was moved is left where it is by now; the other one is told what it stands on.
    assert "right_depth" not in values
    assert values["left_depth"].choices == (1, len(left.facts.layers))
    assert left.facts.layers[values["left_depth"].value - 1] == left.heat.layer


def test_a_layer_stays_chosen_when_method_and_class_change(stages, shown):
    store = stages[0]
    *_, values = explain_depth(store, shown, 1, 3, View())
    *_, values = explain_by(store, values["result"], "layercam", View())
    *_, values = explain_row(store, values["result"], 0, "thing C", View())
    assert values["result"].sides[1].heat.layer == shown.sides[1].facts.layers[2]


def test_swiping_puts_both_maps_in_one_frame(shown):
    beside, swiped = heat_maps(shown, View()), heat_maps(shown, View(swipe=True))
    assert beside["swipe"] is None
    assert not beside["divider"]
    for picture, side in zip(swiped["swipe"], ("left", "right"), strict=True):
        assert np.array_equal(picture.image, beside[f"{side}_heat"].image)
    assert swiped["left_heat"] is swiped["right_heat"] is None
    assert swiped["divider"]
    for side in shown.sides:
        assert side.title in swiped["swipe_caption"]


def test_swiping_needs_two_maps(shown):
    lonely = shown.with_side(0, replace(shown.sides[0], heat=None, no_heat="It is blind."))
    values = heat_maps(lonely, View(swipe=True))
    assert values["swipe"] is None
    assert isinstance(values["right_heat"], Picture)
    assert "one is missing" in values["swipe_caption"]


def test_opacity_is_that_of_the_map(shown):
    pictures = [
        np.asarray(heat_maps(shown, View(opacity=opacity))["left_heat"].image, dtype=int)
        for opacity in (0.1, 1.0)
    ]
    colourful = [np.ptp(picture, axis=2).mean() for picture in pictures]
    assert colourful[0] < colourful[1] / 4


def test_the_same_question_is_answered_from_memory(new_store, picture, monkeypatch):
    store = new_store()
    first = asked(store, picture)[-1]["result"]
    monkeypatch.setattr(compare_module, "_answered", refuses_to_compute)
    for name in ("grad_cam", "scan_trace"):
        monkeypatch.setattr(explain, name, refuses_to_compute)
    again = asked(store, picture.copy())[-1]["result"]
    for before, after in zip(first.sides, again.sides, strict=True):
        assert after.answer is before.answer
        assert after.heat is before.heat
        assert after.trace is before.trace
    with pytest.raises(AssertionError, match="computed"):
        asked(store, picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    with pytest.raises(AssertionError, match="computed"):
        asked(store, picture, mixing="causal")


def refuses_to_compute(*args, **kwargs):
    raise AssertionError("computed again")


def test_why_one_class_rather_than_another(stages, shown):
    store = stages[0]
    assert heat_maps(shown, View())["rival"] is None
    *_, values = explain_by(store, shown, "finercam", View())
    likeliest = values["result"].sides[0]
    labels = likeliest.facts.vocabulary.labels
    second = likeliest.answer.best()[1]
    assert likeliest.heat.versus == second
    assert f"rather than {labels[second]}" in values["left_heat_caption"]
    offered = values["rival"]
    assert offered.value == ""
    assert {labels[i] for i in likeliest.answer.best()} < {words for words, _ in offered.choices}
    third = likeliest.answer.best()[2]
    *_, values = explain_rival(store, values["result"], labels[third], View())
    assert values["rival"].value == labels[third]
    assert values["result"].sides[0].heat.versus == third
    assert not np.array_equal(values["result"].sides[0].heat.values, likeliest.heat.values)


def test_a_map_that_takes_long_says_how_far_it_is(stages, shown, monkeypatch):
    monkeypatch.setattr(background, "POLL_SECONDS", 0.01)
    part, told, steps = explain.grad_cam, threading.Event(), []

    def patient(*args, progress, **options):
        def report(done, total):
            progress(done, total)
            assert told.wait(60)

        return part(*args, progress=report, **options)

    monkeypatch.setattr(explain, "grad_cam", patient)
    for step in explain_by(stages[0], shown, "scorecam", View()):
        steps.append(step)
        if re.search(r"looks: \d+ of \d+ …", step["status"]):
            told.set()
    assert told.is_set()
    assert isinstance(steps[-1]["left_heat"], Picture)


def test_maps_are_tested_when_that_is_asked_for(stages, shown):
    store = stages[0]
    assert heat_maps(shown, View())["trust"] == ""
    *_, values = check(store, shown, View())
    table = values["trust"]
    for side in values["result"].sides:
        assert 0 <= side.trust.faithful.deletion <= 1
        assert f"{side.trust.faithful.insertion:.2f}" in table
    assert table.count("<tr>") == 5
    # Another map was not tested.
    *_, after = explain_by(store, values["result"], "layercam", View())
    assert after["trust"] == ""


def test_how_alike_the_maps_are_is_said(last, shown):
    assert re.search(r"rank correlation −?\d\.\d\d, and \d+ %", last["heat_legend"])
    lonely = shown.with_side(0, replace(shown.sides[0], heat=None, no_heat="It is blind."))
    assert "rank correlation" not in heat_maps(lonely, View())["heat_legend"]


def test_an_answer_as_unsure_as_on_other_things_says_so(stages, shown):
    hint = Hint(confidence=0.2, threshold=0.3, unsure_inside=0.1, unsure_outside=0.22)
    left = shown.sides[0]
    unsure = replace(left, answer=replace(left.answer, hint=hint))
    sure = replace(left, answer=replace(left.answer, hint=None))
    assert "10 % of the answers" in card_head(unsure, 0)
    assert "on pictures of other things 22 %" in card_head(unsure, 0)
    assert "Perhaps" not in card_head(sure, 0)


def test_the_hint_is_what_the_card_of_the_weights_says(shown):
    for side, name in zip(shown.sides, DEFAULT_PAIR, strict=True):
        expected = novelty_hint(side.answer.probabilities, weights_card(name), "bidirectional")
        assert side.answer.hint == expected
    flat = np.full(24, 1 / 24)
    assert novelty_hint(flat, weights_card(DEFAULT_PAIR[0]), "bidirectional") is not None
