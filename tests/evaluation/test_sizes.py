"""The sizes counted ahead of time are those of the networks."""

from __future__ import annotations

import json

import pytest

from mambaout.evaluation import sizes
from mambaout.models.catalogue import offered
from mambaout.models.published import PUBLISHED
from mambaout.models.sizes import Size, counted_size

# One of each family, but those that take more than a second or two to count.
SMALLEST = {card.family: card for card in reversed(offered()) if card.name in PUBLISHED}
COUNTED_FAST = [card.name for card in SMALLEST.values() if card.macs < 1.6e9]


@pytest.mark.parametrize("name", COUNTED_FAST)
def test_counted_again(name):
    assert sizes.count_size(name) == counted_size(name)
    assert len(COUNTED_FAST) >= 5


def test_all_and_only_published_models_were_counted():
    assert set(json.loads(sizes.SIZES_FILE.read_text(encoding="utf-8"))) == set(PUBLISHED)


def test_the_command_writes_what_is_read(monkeypatch, tmp_path):
    file = tmp_path / "sizes.json"
    monkeypatch.setattr(sizes, "SIZES_FILE", file)
    monkeypatch.setattr(sizes, "count_size", lambda name: Size(len(name), 2))
    sizes.main()
    written = json.loads(file.read_text(encoding="utf-8"))
    assert written == {name: {"params": len(name), "macs": 2} for name in PUBLISHED}
    assert len(file.read_text(encoding="utf-8").splitlines()) == len(PUBLISHED) + 2


def test_a_miniatures_size_is_on_its_card(monkeypatch, tmp_path):
    monkeypatch.setenv("MAMBAOUT_CHECKPOINTS", str(tmp_path))
    assert counted_size("vim_atto.tiny_imagenet") is None
    card = {"params": 5, "macs": 7}
    (tmp_path / "vim_atto.tiny_imagenet.json").write_text(json.dumps(card))
    assert counted_size("vim_atto.tiny_imagenet") == Size(5, 7)
