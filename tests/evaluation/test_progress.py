from __future__ import annotations

import io

import pytest

from mambaout.evaluation.progress import Progress, progress_text


@pytest.mark.parametrize(
    ("done", "seconds", "text"),
    [
        (1024, 10.0, "1,024 of 50,000 things, 102.4 a second, 7:58 left"),
        (5, 10.0, "5 of 50,000 things, 0.5 a second, 27:46:30 left"),
        (50_000, 10.0, "50,000 of 50,000 things, 5,000.0 a second, 0:00 left"),
    ],
)
def test_rate_and_time_left(done, seconds, text):
    assert progress_text("things", done, 50_000, seconds) == text


def test_a_file_gets_lines_now_and_then_and_the_last():
    stream = io.StringIO()
    progress = Progress("things", 3, stream)
    for _ in range(3):
        progress.add(1)
    assert stream.getvalue().startswith("3 of 3 things, ")
    assert stream.getvalue().count("\n") == 1


def test_a_terminal_gets_one_line_that_changes():
    stream = io.StringIO()
    stream.isatty = lambda: True
    progress = Progress("things", 2, stream)
    progress.add(1)
    progress.add(1)
    first, second = stream.getvalue().split("\r")[1:]
    assert first.startswith("1 of 2 things")
    assert second.startswith("2 of 2 things")
    assert second.endswith("\n")
