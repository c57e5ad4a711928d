"""What is written down about the models on offer is true of timm's registry and the networks."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from mambaout.catalogue import cards
from mambaout.catalogue.facts import Declared, declared_models
from mambaout.catalogue.published import PUBLISHED
from mambaout.evaluation import facts

KNOWN = declared_models()
# One of each family, but those that take more than a second or two to count; and all miniatures.
SMALLEST = {card.family: card for card in reversed(cards.offered()) if card.name in PUBLISHED}
FAST = [card.name for card in SMALLEST.values() if card.macs < 1.6e9]
FAST += [name for name in KNOWN if name not in PUBLISHED]


def test_all_models_with_weights_are_written_down_and_no_others():
    assert list(KNOWN) == facts.names()
    assert len(KNOWN) > len(PUBLISHED) >= 50


@pytest.mark.parametrize("name", KNOWN)
def test_what_a_family_declares_was_written_down(name):
    known = KNOWN[name]
    read_off = facts.declared(name)
    network = {key: getattr(known, key) for key in ("params", "macs", "no_causal_form")}
    assert replace(read_off, **network) == known
    assert (known.macs is None) == (name not in PUBLISHED)


@pytest.mark.parametrize("name", FAST)
def test_counted_again(name):
    assert facts.facts(name) == KNOWN[name]
    assert len(FAST) >= 8


def test_the_command_writes_what_is_read(monkeypatch, tmp_path):
    file = tmp_path / "facts.json"
    monkeypatch.setattr(facts, "FACTS_FILE", file)
    monkeypatch.setattr(facts, "facts", KNOWN.get)
    facts.main()
    written = json.loads(file.read_text(encoding="utf-8"))
    assert {
        name: Declared(name=name, **{**entry, "input_size": tuple(entry["input_size"])})
        for name, entry in written.items()
    } == KNOWN
    assert len(file.read_text(encoding="utf-8").splitlines()) == len(KNOWN) + 2
