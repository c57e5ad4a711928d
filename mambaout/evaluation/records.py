"""What models answered to each picture, kept in files that survive a kill at any moment.

Each process appends to a file of its own, a batch at a time; what all of them hold together is the
state of the run. A last line that a kill has cut short is not read, and goes at the next start.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from mambaout.evaluation.errors import EvaluationError


@dataclass(frozen=True)
class Answer:
    """A model's first answers: outputs and their softmax probabilities, the likeliest first."""

    outputs: tuple[int, ...]
    confidences: tuple[float, ...]


@dataclass(frozen=True)
class Record:
    """What came of one picture.

    Attributes:
        index: of the picture in the run.
        file: its name.
        answers: by "model mixing"; those of the models that know its class.
        damaged: why there are none; empty if there are.
    """

    index: int
    file: str
    answers: Mapping[str, Answer] = field(default_factory=dict)
    damaged: str = ""

    def line(self) -> str:
        """As one line of JSON, with its end."""
        entry: dict[str, Any] = {"index": self.index, "file": self.file}
        if self.damaged:
            entry["damaged"] = self.damaged
        else:
            entry["answers"] = {
                view: {"outputs": answer.outputs, "confidences": answer.confidences}
                for view, answer in self.answers.items()
            }
        return json.dumps(entry, ensure_ascii=False) + "\n"

    @classmethod
    def of(cls, line: bytes) -> Record:
        """From its line."""
        entry = json.loads(line)
        answers = {
            view: Answer(tuple(answer["outputs"]), tuple(answer["confidences"]))
            for view, answer in entry.get("answers", {}).items()
        }
        return cls(entry["index"], entry["file"], answers, entry.get("damaged", ""))


class Recorded:
    """The records of all processes in a folder, by the index of their picture."""

    def __init__(self, out: Path) -> None:
        self.by_index: dict[int, Record] = {}
        self._out = out
        self._read: dict[Path, int] = {}

    def refresh(self) -> None:
        """Take in what was written since.

        Raises:
            EvaluationError: a file holds something else than records.
        """
        for path in sorted(self._out.glob("answers-*.jsonl")):
            start = self._read.get(path, 0)
            with path.open("rb") as file:
                file.seek(start)
                whole, newline, _ = file.read().rpartition(b"\n")
            try:
                records = [Record.of(line) for line in whole.splitlines()]
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise EvaluationError(
                    f"{path} is damaged after byte {start} ({error!r}); delete it to have its "
                    f"pictures evaluated again"
                ) from error
            self.by_index.update((record.index, record) for record in records)
            self._read[path] = start + len(whole) + len(newline)


class Recorder:
    """Appends the records of one process; a context manager that keeps others from its file."""

    def __init__(self, out: Path, rank: int) -> None:
        self._path = out / f"answers-{rank}.jsonl"
        self._lock = FileLock(f"{self._path}.lock", timeout=0)

    def __enter__(self) -> Recorder:
        """Take the file and cut off a line that was never finished.

        Raises:
            EvaluationError: another run is writing to it.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout as error:
            raise EvaluationError(
                f"another run is writing to {self._path}: wait for it, or choose another --out"
            ) from error
        written = self._path.read_bytes() if self._path.is_file() else b""
        self._file = self._path.open("ab")
        self._file.truncate(written.rfind(b"\n") + 1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()
        self._lock.release()

    def append(self, records: Iterable[Record]) -> None:
        """Write whole lines, and leave none in a buffer that a kill would take along."""
        self._file.write("".join(record.line() for record in records).encode())
        self._file.flush()
