"""The tests that the security document names are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROWS = [line for line in DOCUMENT.splitlines() if line.startswith("| ")][1:]
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", DOCUMENT)))


def functions_of(path):
    """The names of the test functions of a file."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_it_is_there(path, name):
    assert name.startswith("test_")
    assert name in functions_of(path)


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_every_row_names_a_test_or_says_that_there_is_none(row):
    _, threat, answer, held, _ = row.split("|")
    assert threat.strip()
    assert answer.strip()
    assert "::test_" in held or "not tested" in held
    assert held.count("::") == len(re.findall(r"`tests/[\w/]+\.py::\w+`", held))
