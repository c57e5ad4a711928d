"""What the README promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

import mambaout

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_python_example_runs(capsys):
    [example] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    picture = Image.radial_gradient("L").convert("RGB")
    names = {"picture": picture}
    exec(compile(example, "README.md", "exec"), names)
    labels = mambaout.models.class_labels("vim_atto.tiny_imagenet")
    assert names["answer"] in labels
    assert names["answer"] in capsys.readouterr().out
    assert names["heat"].values.shape == (16, 16)
    assert {path.path for path in names["trace"]} == {"forward", "backward"}
    both = torch.cat([names["model"](names["image"]), names["causal"]])
    assert (both[0] - both[1]).abs().max() > 1e-3


def test_the_example_is_eight_lines():
    [example] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    lines = [line for line in example.splitlines() if line and not line.startswith("import ")]
    assert len(lines) <= 8


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\((?!https?:)([^)#]+)\)", README))))
def test_what_it_links_to_is_there(target):
    assert (ROOT / target).exists()


def test_the_two_commands_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^make (\w+)$", README, flags=re.MULTILINE)
    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{command}:", makefile, flags=re.MULTILINE) for command in commands)


def test_the_miniatures_numbers_are_those_of_their_cards():
    import json

    for name in ("mambaout_atto", "vim_atto"):
        card = json.loads((ROOT / "checkpoints" / f"{name}.tiny_imagenet.json").read_text())
        [row] = re.findall(rf"^\| `{name}` \| \d.*$", README, flags=re.MULTILINE)
        assert f"{card['params'] / 1e6:.2f} M" in row
        assert f"{card['macs'] / 1e6:.0f} M" in row
        assert f"{card['val_top1']:.1%}" in row.replace(" %", "%")
        assert f"{card['other_mixing']['val_top1']:.1%}" in row.replace(" %", "%")
