"""A GPU that is lent by the call: what runs where, what crosses, what is said without one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

from app import gpu, text
from app.environment import gpu_is_lent
from app.gpu import ASK_SECONDS, lent
from app.store import DEFAULT_PAIR
from mambaout.errors import WeightsUnavailable
from mambaout.models.weights import WeightsStatus
from tests.app.lent_page import CHOICES, noise
from tests.app.serving import Caller, launched, png
from tests.app.visitor import ROOT


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What `tests.app.lent_page` has to tell."""
    # Not through pipes: the process that it forks would hold them open if it came to hang.
    output, errors = (tmp_path_factory.mktemp("lent") / name for name in ("output", "errors"))
    with output.open("w") as out, errors.open("w") as err:
        done = subprocess.run(
            [sys.executable, "-m", "tests.app.lent_page"],
            check=False, cwd=ROOT, stdout=out, stderr=err, timeout=280,
        )  # fmt: skip
    assert done.returncode == 0, errors.read_text()
    return json.loads(output.read_text().splitlines()[-1])


def test_a_comparison_is_one_call_in_the_other_process(told):
    page = told["page"]
    assert page["calls"] == [ASK_SECONDS]
    assert page["right"]
    assert page["computed here"] == 0


def test_its_steps_come_one_by_one(told):
    lines = told["page"]["lines"]
    assert len(set(lines)) > 5
    assert lines[0] == text.asking("MambaOut-Atto")
    assert lines[-1].startswith("Done in ")
    assert told["page"]["in French"].startswith("Terminé en ")


def test_so_is_the_question_of_every_other_tab_that_explains(told):
    assert told["page"]["lens"]["calls"] == 1
    assert told["page"]["mixing"]["calls"] == 2  # of the answers, and of what is read
    assert told["page"]["lens"]["lines"] > 3  # and then the visitor left
    assert " took " in told["page"]["mixing"]["last"]


def test_without_a_gpu_the_cpu_answers_and_the_visitor_is_told(told):
    refused = told["page"]["refused"]
    assert refused["calls"] == 1
    assert refused["right"]
    assert refused["computed here"] > 0
    assert refused["lines"][0] == text.WITHOUT_GPU
    assert refused["lines"][-1].endswith(text.DONE_WITHOUT_GPU)


def test_programs_get_the_same_answers_in_one_call_each(told, new_store):
    with launched(new_store()) as address, Caller(address) as caller:
        uploaded = caller.upload(png(noise(1)))
        for name, values in CHOICES.items():
            assert told["programs"][name] == [*caller.call(name, uploaded, *values), 1]
    how, said = told["programs"]["no such patch"]
    assert how == "error"
    assert "16 rows and 16 columns" in said["error"]


def test_tensors_do_not_cross_and_a_shortage_there_is_no_error_here(told):
    assert told["failures"] == {"tensor": "no device", "memory": "no device"}


def test_on_any_other_machine_it_is_the_same_function(store, monkeypatch):
    assert not gpu_is_lent()

    def work():
        yield 1

    assert lent(store, work) is work
    monkeypatch.setenv("SPACES_ZERO_GPU", "false")
    assert lent(store, work) is work


def test_weights_are_fetched_before_a_gpu_is_asked_for(new_store, monkeypatch):
    order = []

    def fetch(name, progress):
        order.append(name)
        progress(5, 10)
        if name == DEFAULT_PAIR[1]:
            raise WeightsUnavailable("The Hub answered 503.")

    def on_gpu(number, tag, arguments):
        order.append("GPU")
        yield {"status": "Done."}

    monkeypatch.setenv("SPACES_ZERO_GPU", "true")
    monkeypatch.setattr("mambaout.models.fetch_weights", fetch)
    monkeypatch.setattr(gpu, "_decorated", lambda: on_gpu)
    store = new_store()
    missing = WeightsStatus("available", "", 10, None)
    store.offer = [replace(card, weights=missing) for card in store.offer]
    work = lent(store, lambda: iter(()))
    assert [*work(None, DEFAULT_PAIR, "vim", 3)][-1] == {"status": "Done."}
    assert order == [*DEFAULT_PAIR, "GPU"]
    order.clear()
    assert [*work({"left": DEFAULT_PAIR[0]})]
    assert order == [DEFAULT_PAIR[0], "GPU"]


def test_the_package_is_imported_before_anything_looks_for_a_gpu(tmp_path):
    """As it wants: it remembers what is moved to a GPU only from then on."""
    (tmp_path / "spaces.py").write_text(
        "import sys\nprint(sorted({'torch', 'gradio'} & sys.modules.keys()))\n"
    )
    program = "from app import environment; environment.prepare()"
    for lending, words in (("true", "[]\n"), ("", "")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            check=True, cwd=ROOT, capture_output=True, text=True, timeout=120,
            env={**os.environ, "SPACES_ZERO_GPU": lending, "PYTHONPATH": str(tmp_path)},
        )  # fmt: skip
        assert done.stdout == words
