"""What was measured, as a table, as JSON, and beside the last time."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.timing import Ratio

FORMAT = 1  # of the JSON; another number is another meaning, and is not compared


@dataclass(frozen=True)
class Goal:
    """What a ratio should be."""

    kind: Literal["at least", "at most"]
    bound: float

    def met(self, value: float) -> bool:
        return value >= self.bound if self.kind == "at least" else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.kind == 'at least' else '≤'} {self.bound:g}"


@dataclass(frozen=True)
class Result:
    """One ratio of one run. Its group and case are its name from run to run."""

    group: str
    case: str
    value: float
    minima: float | None = None  # the same of the shortest times
    spread: float | None = None  # of the rounds, in log; None: not known, so never "moved"
    goal: Goal | None = None
    note: str = ""  # what the ratio was made of

    @classmethod
    def of(
        cls, group: str, case: str, measured: Ratio, goal: Goal | None = None, note: str = ""
    ) -> Result:
        return cls(group, case, measured.median, measured.minima, measured.spread, goal, note)

    @property
    def name(self) -> tuple[str, str]:
        return self.group, self.case


def milliseconds(*seconds: float) -> str:
    """Times of one comparison: ``12.3 : 4.56 ms``."""
    return " : ".join(f"{1000 * value:.3g}" for value in seconds) + " ms"


HEADINGS = ("case", "ratio", "minima", "± %", "goal", "", "note")


def table(results: Iterable[Result]) -> str:
    """One line per result, columns aligned, groups apart."""
    rows = [(HEADINGS, "")] + [(_cells(result), result.group) for result in results]
    widths = [max(len(cells[i]) for cells, _ in rows) for i in range(len(HEADINGS))]
    lines, current = [], ""
    for cells, group in rows:
        if group != current:
            lines += ["", group]
            current = group
        case, *numbers, note = (
            cell.ljust(width) if i in {0, 4, 5, 6} else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        lines.append("  ".join((case, *numbers, note)).rstrip())
    return "\n".join(lines)


def _cells(result: Result) -> tuple[str, ...]:
    goal = result.goal
    return (
        result.case,
        f"{result.value:.3g}",
        "" if result.minima is None else f"{result.minima:.3g}",
        "" if result.spread is None else f"{100 * math.expm1(result.spread / 2):.0f}",
        "" if goal is None else str(goal),
        "" if goal is None else ("met" if goal.met(result.value) else "missed"),
        result.note,
    )


def as_dict(results: Sequence[Result], conditions: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a run."""
    return {
        "format": FORMAT,
        **conditions,
        "results": [asdict(result) for result in results],
    }


def results_of(report: Mapping[str, Any]) -> list[Result]:
    """The results in what `as_dict` made."""
    return [
        Result(**{**entry, "goal": Goal(**entry["goal"]) if entry["goal"] else None})
        for entry in report["results"]
    ]


# A run under other conditions is another experiment. Versions are not among them: what an update
# changed is one of the questions.
SAME = ("format", "machine", "threads", "clock", "quick")


def last_run(candidates: Iterable[Path], report: Mapping[str, Any]) -> dict[str, Any] | None:
    """The first of ``candidates`` that was measured as ``report`` was, and shares a result with it.

    Raises:
        ValueError: one of them, up to that one, is no JSON.
    """
    names = {result.name for result in results_of(report)}
    for path in candidates:
        earlier: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        same = all(earlier.get(key) == report[key] for key in SAME)
        if same and names & {result.name for result in results_of(earlier)}:
            return earlier
    return None


def moved(before: Sequence[Result], now: Sequence[Result]) -> list[tuple[Result, Result]]:
    """The pairs of results whose ratios differ by more than noise.

    Noise is the rounds' own: two medians have to lie further apart, in log, than the interquartile
    ranges of both runs together. Nothing is said of ratios whose spread nobody knows.
    """
    earlier = {result.name: result for result in before}
    pairs = [(earlier[result.name], result) for result in now if result.name in earlier]
    return [
        (old, new)
        for old, new in pairs
        if old.spread is not None
        and new.spread is not None
        and abs(math.log(new.value / old.value)) > old.spread + new.spread
    ]


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What moved since the run before, in words."""
    pairs = moved(results_of(before), results_of(now))
    heading = f"Since {before['date']}"
    if before["versions"] != now["versions"]:
        updates = [
            f"{name} {before['versions'].get(name)} → {version}"
            for name, version in now["versions"].items()
            if before["versions"].get(name) != version
        ]
        heading += f" ({', '.join(updates)})"
    if not pairs:
        return f"{heading}: nothing moved beyond the noise of the rounds."
    lines = [
        f"  {new.group}, {new.case}: {old.value:.3g} → {new.value:.3g} "
        f"({100 * (new.value / old.value - 1):+.0f} %)"
        for old, new in pairs
    ]
    return "\n".join([f"{heading}, beyond the noise of the rounds:", *lines])
