from __future__ import annotations

import pytest

from mambaout.evaluation.files import atomically, differences


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")

    def fails(partial):
        partial.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        atomically(path, fails)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_text() == "old"


def test_differences_name_the_entry_and_both_values():
    assert differences({"lr": 1, "seed": 0}, {"lr": 2, "seed": 0}) == ["lr: 1 there, 2 now"]
