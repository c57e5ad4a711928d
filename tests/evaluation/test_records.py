from __future__ import annotations

import pytest

from mambaout.evaluation.errors import EvaluationError
from mambaout.evaluation.records import Answer, Record, Recorded, Recorder

RECORDS = [
    Record(index, f"ü{index}.png", {"a bidirectional": Answer((index, 3), (0.75, 0.125))})
    for index in range(4)
]
RECORDS[2] = Record(2, "2.png", damaged="no picture")


def read(out):
    recorded = Recorded(out)
    recorded.refresh()
    return recorded.by_index


def test_records_of_all_processes_come_back_as_they_were(tmp_path):
    recorded = Recorded(tmp_path)
    with Recorder(tmp_path, 0) as first, Recorder(tmp_path, 1) as second:
        first.append(RECORDS[:1])
        second.append(RECORDS[3:])
        recorded.refresh()
        assert recorded.by_index == {0: RECORDS[0], 3: RECORDS[3]}
        first.append(RECORDS[1:3])
        recorded.refresh()
    assert recorded.by_index == dict(enumerate(RECORDS)) == read(tmp_path)


def test_a_kill_at_any_byte_loses_the_last_batch_and_no_more(tmp_path):
    with Recorder(tmp_path, 0) as recorder:
        recorder.append(RECORDS[:2])
        kept = (tmp_path / "answers-0.jsonl").stat().st_size
        recorder.append(RECORDS[2:3])
    whole = (tmp_path / "answers-0.jsonl").read_bytes()
    assert kept < len(whole)
    for end in range(kept, len(whole)):
        (tmp_path / "answers-0.jsonl").write_bytes(whole[:end])
        assert read(tmp_path) == dict(enumerate(RECORDS[:2]))
        with Recorder(tmp_path, 0) as recorder:
            recorder.append(RECORDS[2:])
        assert read(tmp_path) == dict(enumerate(RECORDS))


def test_two_runs_cannot_write_to_one_file(tmp_path):
    with (
        Recorder(tmp_path, 0),
        pytest.raises(EvaluationError, match="another run is writing"),
        Recorder(tmp_path, 0),
    ):
        pass
    with Recorder(tmp_path, 0) as recorder:
        recorder.append(RECORDS)
    assert len(read(tmp_path)) == 4


@pytest.mark.parametrize("line", [b"{\n", b"[]\n", b'{"index": 1}\n', b"\xff\n"])
def test_a_file_that_holds_something_else_is_named(tmp_path, line):
    (tmp_path / "answers-0.jsonl").write_bytes(line)
    with pytest.raises(EvaluationError, match=r"answers-0\.jsonl is damaged"):
        read(tmp_path)
