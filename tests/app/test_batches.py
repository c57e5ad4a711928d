"""Pictures that wait go through a model together: who gets what, who waits, whose error it is."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from app.batches import Batches
from app.events import let_in
from app.store import DEFAULT_PAIR
from tests.app.serving import Caller, launched, png

MOST = 4
# Of a probability: sums have another order, and the logits of these models reach thirty.
TOLERANCE = 1e-4


class Passes:
    """A model that says which picture it saw, and can be held in its first pass."""

    def __init__(self):
        self.sizes, self.begun, self.may_end = [], threading.Event(), threading.Event()

    def __call__(self, images):
        self.sizes.append(len(images))
        self.begun.set()
        assert self.may_end.wait(60)
        values = images[:, 0, 0, 0]
        if (values < 0).any():
            raise ValueError(f"no picture: {values.tolist()}")
        return np.stack([values.numpy(), values.numpy() + 0.5], 1)


def picture(number):
    return torch.full((1, 3, 2, 2), float(number))


def waiting(batches, key="key"):
    return len(batches._waiting.get(key, []))


def together(numbers):
    """What each of the callers behind a running pass got, and the sizes of all passes."""
    batches, passes = Batches(MOST), Passes()
    with ThreadPoolExecutor(len(numbers) + 1) as pool:
        first = pool.submit(batches.answer, "key", passes, picture(100))
        assert passes.begun.wait(60)
        rest = []
        for at, number in enumerate(numbers):  # one after the other, so that the order is known
            rest.append(pool.submit(batches.answer, "key", passes, picture(number)))
            while waiting(batches) <= at:
                pass
        passes.may_end.set()
        ends = [future.exception() or future.result().tolist() for future in (first, *rest)]
    assert not batches._waiting
    return ends, passes.sizes


def test_who_waits_is_passed_with_the_others_and_gets_the_own_row():
    ends, sizes = together(range(10))
    assert sizes == [1, 4, 4, 2]
    assert ends == [[n, n + 0.5] for n in (100, *range(10))]


def test_nobody_waits_for_company():
    batches, passes = Batches(MOST), Passes()
    passes.may_end.set()
    for number in range(3):
        assert batches.answer("key", passes, picture(number))[0] == number
    assert passes.sizes == [1, 1, 1]
    held = Passes()
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(batches.answer, "key", held, picture(5))
        assert held.begun.wait(60)
        assert batches.answer("another", passes, picture(6))[0] == 6  # while the first one runs
        held.may_end.set()
        assert busy.result()[0] == 5


def test_an_error_is_raised_to_whose_it_is():
    ends, sizes = together([0, -1, 2])
    assert sizes[:2] == [1, 3]
    assert sorted(sizes[2:]) == [1, 1, 1]  # then each for itself
    assert [ends[0], ends[1], ends[3]] == [[100, 100.5], [0, 0.5], [2, 2.5]]
    assert isinstance(ends[2], ValueError)
    assert str(ends[2]) == "no picture: [-1.0]"
    alone, passes = Batches(MOST), Passes()
    passes.may_end.set()
    with pytest.raises(ValueError, match="no picture"):
        alone.answer("key", passes, picture(-1))
    assert alone.answer("key", passes, picture(1))[0] == 1  # and the next one is served


@pytest.mark.parametrize("name", DEFAULT_PAIR)
def test_a_model_says_to_several_what_it_says_to_each(name, new_store, picture):
    """Forced on the CPU."""
    apart, store = new_store(), new_store(together=("cpu",))
    shifted = [picture.rotate(15 * turn) for turn in range(6)]
    model, alone = store.get(name), apart.get(name)
    assert model.batches is not None
    assert alone.batches is None
    sizes = []
    views = {mixing: model.view(mixing) for mixing in ("bidirectional", "causal")}
    for mixing, view in views.items():
        view.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
        right = [alone.says(alone.view(mixing), alone.input_of(p)).probabilities for p in shifted]
        with ThreadPoolExecutor(len(shifted)) as pool:
            images = [model.input_of(p) for p in shifted]
            said = [*pool.map(lambda image, view=view: model.says(view, image), images)]
        for one, other in zip(said, right, strict=True):
            np.testing.assert_allclose(one.probabilities, other, rtol=0, atol=TOLERANCE)
        assert np.ptp(np.stack(right), axis=0).max() > 0.01  # they can be told apart
    assert sum(sizes) == 2 * len(shifted)


def test_where_pictures_go_together_requests_are_let_in_together(new_store, picture):
    """The whole page, forced on the CPU: right answers, and passes of several pictures."""
    store, sizes = new_store(together=("cpu",)), []
    assert (new_store().at_once, store.at_once) == (1, 8)
    model = store.get(DEFAULT_PAIR[1])
    view = model.view("causal")

    def passing(_, given):
        sizes.append(len(given[0]))
        end = time.monotonic() + 60
        while len(sizes) == 1 and waiting(model.batches, view) < 2 and time.monotonic() < end:
            time.sleep(0.01)

    view.register_forward_pre_hook(passing)
    rest = (DEFAULT_PAIR[1], "causal", 24)
    pictures = [png(picture.rotate(5 * turn)) for turn in range(24)]
    with launched(new_store()) as address, Caller(address) as caller:
        right = [caller.call("classify", caller.upload(p), *rest)[1] for p in pictures]
    with launched(store) as address:
        let_in(launched.demo, store.at_once)

        def visit(data):
            with Caller(address) as caller:
                return caller.call("classify", caller.upload(data), *rest)

        with ThreadPoolExecutor(24) as pool:
            ends = [*pool.map(visit, pictures)]
    for (how, value), expected in zip(ends, right, strict=True):
        assert how == "complete"
        assert value["picture"] == expected["picture"]
        found, wanted = (
            {c["key"]: c["probability"] for c in v["classes"]} for v in (value, expected)
        )
        assert found == pytest.approx(wanted, abs=TOLERANCE)
    assert sum(sizes) == len(pictures)
    assert max(sizes) > 1
