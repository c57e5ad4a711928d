"""Pictures that other packages bring along."""

from __future__ import annotations

import base64
import io

from PIL import Image

from app import examples as module
from app.examples import examples


def test_pictures_are_found_and_pass_the_gate():
    found = examples()
    assert found
    assert found[0].label == "Lion"  # what the page opens with: a class of the miniatures
    for example in found:
        assert min(example.open().size) >= 224
    assert len({example.label for example in found}) == len(found)


def test_a_thumbnail_is_a_small_picture():
    address = examples()[0].thumbnail()
    head, _, data = address.partition(",")
    assert head == "data:image/webp;base64"
    assert len(address) < 20_000
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (200, 140)


def test_what_is_not_installed_is_left_out(monkeypatch):
    monkeypatch.setattr(
        module, "_KNOWN", (("a", "no_such_package", "x.jpg"), ("b", "gradio", "no_such_file.jpg"))
    )
    assert examples() == []


def test_nothing_is_imported_to_find_a_picture(monkeypatch):
    imported = []
    monkeypatch.setattr(module, "find_spec", imported.append)
    assert examples() == []
    assert "sklearn" in imported
