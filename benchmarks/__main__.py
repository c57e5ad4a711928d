"""Measure how fast the project is on this machine, as ratios of one run.

Everything that is compared is timed by turns, in the same process where it can be. The table shows
the ratio of the medians, that of the shortest times, and half the interquartile range of the rounds
in percent. Results are kept as JSON and compared with the last run under the same conditions.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.machine import Others, load, machine, versions
from benchmarks.timing import FULL, QUICK, Effort

MODULES = {
    "scan": "benchmarks.scan",
    "models": "benchmarks.models",
    "explanations": "benchmarks.explain",
    "growth": "benchmarks.growth",
    "start": "benchmarks.start",
    "gpu": "benchmarks.gpu_scan",
}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
RUNS = Path(__file__).parents[1] / "runs" / "bench"


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = _parser().parse_args(arguments)
    # Before torch is imported, as the page does: OpenMP's threads spin less while they wait.
    os.environ.setdefault("GOMP_SPINCOUNT", "20000")
    import torch

    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    now = datetime.now(timezone.utc)
    effort = replace(QUICK if chosen.quick else FULL, clock=CLOCKS[chosen.clock])
    conditions: dict[str, Any] = {
        "date": now.isoformat(timespec="seconds"),
        "quick": chosen.quick,
        "threads": torch.get_num_threads(),
        "clock": chosen.clock,
        "machine": machine(),
        "versions": versions(),
        "conditions": {},
    }
    print(_described(conditions))
    results: list[report.Result] = []
    for group in chosen.only:
        found, conditions["conditions"][group] = _measured(group, effort)
        results += found
    now_report = report.as_dict(results, conditions)
    target = chosen.json or RUNS / f"{now:%Y%m%dT%H%M%SZ}.json"
    earlier = [target] if target.exists() else []
    earlier += sorted(set(RUNS.glob("*.json")) - {target}, reverse=True)
    before = report.last_run(earlier, now_report)
    print()
    if before is None:
        print("No earlier run under these conditions to compare with.")
    else:
        print(report.changes(before, now_report))
    from mambaout.evaluation.files import write_json

    write_json(target, now_report)
    print(f"Kept in {target}")
    return 0


def _measured(group: str, effort: Effort) -> tuple[list[report.Result], dict[str, float | None]]:
    before, others = load(), Others()
    results = []
    for result in importlib.import_module(MODULES[group]).measure(effort):
        print(f"  {result.case}: {result.value:.3g}", file=sys.stderr, flush=True)
        results.append(result)
    conditions = {"load_before": before, "load_after": load(), "used_by_others": others.share()}
    print(report.table(results))
    print(_busy(conditions), flush=True)
    return results, conditions


def _described(conditions: dict[str, Any]) -> str:
    about = conditions["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in conditions["versions"].items())
    return (
        f"{about['processor']}, {about['cores']} cores, {about['system']}\n"
        f"{packages}\n"
        f"{conditions['threads']} threads, {conditions['clock']} clock, {conditions['date']}"
    )


def _busy(conditions: dict[str, float | None]) -> str:
    words = []
    if conditions["load_before"] is not None:
        words.append(f"load {conditions['load_before']:.1f} → {conditions['load_after']:.1f}")
    if conditions["used_by_others"] is not None:
        words.append(f"others used {100 * conditions['used_by_others']:.0f} % of the machine")
    return f"({', '.join(words)})" if words else ""


def _groups(text: str) -> list[str]:
    chosen = [name for name in text.split(",") if name]
    unknown = [name for name in chosen if name not in MODULES]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"choose from {', '.join(MODULES)}, got {text!r}")
    return chosen


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="fewer cases and rounds")
    parser.add_argument(
        "--only",
        type=_groups,
        default=list(MODULES),
        metavar="GROUP,...",
        help=f"some of {', '.join(MODULES)}",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="where to keep it (default: runs/bench/TIME.json)"
    )
    parser.add_argument(
        "--clock",
        choices=list(CLOCKS),
        default="wall",
        help="cpu: seconds of this process alone; with --threads 1, believable on a busy machine",
    )
    parser.add_argument(
        "--threads", type=_positive, metavar="N", help="of torch and the scan (default: torch's)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
