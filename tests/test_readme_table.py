"""The README's table of models is the registry's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mambaout.catalogue.published import PUBLISHED
from mambaout.models import __main__ as command
from mambaout.models.table import END, START, models_table, with_table

README = Path(__file__).parents[1] / "README.md"
RENEW = "renew it: python -m mambaout.models table README.md"


def rows():
    """The table's rows about a model, by its name."""
    lines = re.findall(r"^\| `(.+?)` \| (.*) \|$", models_table(), flags=re.MULTILINE)
    return {name: cells.split(" | ") for name, cells in lines}


def test_the_readme_has_the_table_of_today():
    written = README.read_text(encoding="utf-8")
    assert with_table(written) == written, RENEW


def test_every_published_model_has_a_row():
    assert list(rows()) != list(PUBLISHED)  # like mixers stand side by side
    assert set(rows()) == set(PUBLISHED)
    assert all(cell for name, row in rows().items() for cell in row if "in12k" not in name)


def test_rows_say_what_is_known():
    table = rows()
    assert table["mambaout_tiny.in1k"] == [
        "26.5 M", "4.47 G", "224", "82.7 %", "Apache-2.0", "yes",
    ]  # fmt: skip
    assert table["mambaout_base_plus_rw.sw_e150_in12k"][3] == ""
    nvidia = [row for name, row in table.items() if name.startswith("mambavision")]
    assert {row[4] for row in nvidia} == {"**CC-BY-NC-SA-4.0**, non-commercial"}
    assert table["efficientvim_m1.e300_in1k"][5] == "no"
    assert "\n- EfficientViM has no causal form: each of its states" in models_table()


def test_everything_but_the_table_stays(tmp_path, capsys):
    file = tmp_path / "README.md"
    file.write_text(f"# Before\n\n{START}\nan old table\n{END}\n\nAfter: `\\1`\n", encoding="utf-8")
    assert command.main(["table", str(file)]) == 0
    renewed = file.read_text(encoding="utf-8")
    assert renewed == f"# Before\n\n{START}\n\n{models_table()}\n{END}\n\nAfter: `\\1`\n"
    assert with_table(renewed) == renewed
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["no table", START, f"{END}\n{START}\n", f"{START}\n{END}\n" * 2])
def test_a_file_without_the_markers_is_left_alone(tmp_path, capsys, text):
    file = tmp_path / "notes.md"
    file.write_text(text, encoding="utf-8")
    assert command.main(["table", str(file)]) == 1
    assert "expected the lines <!-- models:start -->" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == text


def test_a_file_that_is_not_there(tmp_path, capsys):
    assert command.main(["table", str(tmp_path / "none.md")]) == 1
    assert "No such file" in capsys.readouterr().err
