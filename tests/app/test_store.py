"""Who owns the models: loaded once, frozen, shared without being changed, forgotten in time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import torch

from app.store import DEFAULT_PAIR, ModelStore
from mambaout import with_mixing
from mambaout.catalogue.bundled import causal_twin
from mambaout.catalogue.status import WeightsStatus
from mambaout.errors import MambaOutError, WeightsUnavailable

MAMBAOUT, VIM = DEFAULT_PAIR


def test_models_are_frozen(store):
    for name in DEFAULT_PAIR:
        model = store.get(name).model
        assert not model.training
        assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("name", DEFAULT_PAIR)
def test_views_share_the_weights_and_leave_the_model_alone(store, picture, name):
    loaded = store.get(name)
    image = loaded.input_of(picture)
    with torch.inference_mode():
        before = loaded.model(image)
        causal = loaded.view("causal")(image)
        after = loaded.model(image)
    assert (causal - before).abs().max() > 1e-3
    assert torch.equal(before, after)
    assert loaded.view("causal") is loaded.view("causal")
    weights = {p.data_ptr() for p in loaded.model.parameters()}
    assert {p.data_ptr() for p in loaded.view("causal").parameters()} <= weights


def test_many_threads_at_once_answer_as_one(store, picture):
    def answer(job):
        name, mixing = job
        loaded = store.get(name)
        with torch.inference_mode():
            return loaded.view(mixing)(loaded.input_of(picture))

    jobs = [(name, mixing) for name in DEFAULT_PAIR for mixing in ("bidirectional", "causal")] * 6
    serial = [answer(job) for job in jobs]
    together = threading.Barrier(8)

    def answer_with_others(job):
        together.wait(timeout=60)
        return answer(job)

    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(answer_with_others, jobs))
    assert len({tuple(answer[0, :3].tolist()) for answer in serial}) == 4
    assert all(torch.equal(a, b) for a, b in zip(serial, parallel, strict=True))


def test_a_model_is_loaded_once_however_many_ask(new_store):
    built = []

    def slowly(name, progress):
        built.append(name)
        time.sleep(0.05)
        return torch.nn.Identity()

    class Bare(new_store):
        def _load(self, name, progress):
            return slowly(name, progress)

    store = Bare()
    with ThreadPoolExecutor(8) as pool:
        models = list(pool.map(store.get, [VIM] * 8))
    assert built == [VIM]
    assert all(model is models[0] for model in models)


def test_what_was_used_longest_ago_is_forgotten_first(new_store):
    store = new_store(capacity=1)
    first = store.get(MAMBAOUT)
    assert store.holds(MAMBAOUT)
    store.get(VIM)
    assert (store.holds(MAMBAOUT), store.holds(VIM)) == (False, True)
    assert first.model(torch.zeros(1, 3, 64, 64)).shape == (
        1,
        24,
    )  # a running request keeps its own
    roomy = new_store(capacity=first.bytes + store.get(VIM).bytes)
    roomy.get(MAMBAOUT)
    roomy.get(VIM)
    assert roomy.holds(MAMBAOUT)
    assert roomy.holds(VIM)


def test_the_capacity_counts_bytes(store):
    loaded = store.get(VIM)
    buffers = {*loaded.model.state_dict()} - {n for n, _ in loaded.model.named_parameters()}
    assert not buffers
    assert loaded.bytes == 4 * sum(p.numel() for p in loaded.model.parameters())


def test_an_unknown_name_is_told_apart(store):
    with pytest.raises(MambaOutError, match="No model on offer is called"):
        store.get("resnet18")


def test_weights_that_cannot_be_had_have_a_reason(new_store):
    store = new_store()
    missing = WeightsStatus("unavailable", "The bundled file is missing.", None, None)
    store.offer = [replace(store.offer[0], weights=missing)]
    with pytest.raises(WeightsUnavailable, match="bundled file is missing"):
        store.get(MAMBAOUT)
    assert not store.holds(MAMBAOUT)


def test_offline_nothing_is_downloaded():
    asked = []
    store = ModelStore("cpu", offline=True, build=lambda name, progress: asked.append(name))
    card = store.card("mambaout_femto.in1k")
    assert card.weights.state == "unavailable"
    with pytest.raises(WeightsUnavailable, match="offline mode is on"):
        store.get(card.name)
    assert not asked


def test_a_failed_load_can_be_tried_again(new_store):
    def fails(name, progress):
        raise WeightsUnavailable("The Hub answered 503.")

    store = new_store(build=fails)
    for _ in range(2):
        with pytest.raises(WeightsUnavailable, match="503"):
            store.get(MAMBAOUT)


def test_a_device_that_is_not_there_is_refused():
    absent = "cuda" if not torch.cuda.is_available() else "mps"
    with pytest.raises(MambaOutError, match=f"no {absent} device"):
        _ = ModelStore(absent).device
    assert ModelStore("cpu").device == "cpu"
    assert ModelStore("auto").device in {"cpu", "cuda", "mps"}


def test_a_model_trained_causally_is_its_own_causal_view(picture):
    store = ModelStore(device="cpu")
    name = causal_twin(MAMBAOUT)
    loaded = store.get(name)
    assert loaded.view("causal") is loaded.model
    image = loaded.input_of(picture)
    with torch.inference_mode():
        assert (loaded.view("bidirectional")(image) - loaded.model(image)).abs().max() > 1e-3
        assert torch.equal(with_mixing(loaded.model, "causal")(image), loaded.model(image))
