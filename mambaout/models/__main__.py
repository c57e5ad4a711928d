"""Show the models and get their weights: `python -m mambaout.models list | download NAME ...`.

`python -m mambaout.models table README.md` renews the table of models in a Markdown file.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mambaout.catalogue.cards import offered
from mambaout.catalogue.download import Progress
from mambaout.errors import MambaOutError
from mambaout.models.table import END, START, with_table
from mambaout.models.weights import fetch_weights


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit status: 1 if any download failed."""
    parser = argparse.ArgumentParser(prog="python -m mambaout.models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every model with weights, and whether they are here")
    get = commands.add_parser("download", help="fetch weights for use without network")
    get.add_argument("names", nargs="+", metavar="NAME", help="as `list` shows them")
    table = commands.add_parser("table", help="renew the table of models in a Markdown file")
    table.add_argument("file", type=Path, help=f"has the lines {START} and {END}")
    options = parser.parse_args(arguments)
    if options.command == "table":
        return _renew_table(options.file)
    return _list() if options.command == "list" else _download(options.names)


def _renew_table(file: Path) -> int:
    try:
        filled = with_table(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        print(f"{file}: {error}", file=sys.stderr)
        return 1
    file.write_text(filled, encoding="utf-8")
    return 0


def _list() -> int:
    rows = [("NAME", "PARAMS", "TOP-1", "CLASSES", "LICENCE", "WEIGHTS")]
    for card in offered():
        top1 = "" if card.top1 is None else f"{card.top1:.1f} %"
        millions = f"{card.params / 1e6:.1f} M"
        rows.append((card.name, millions, top1, card.data, card.licence, card.weights.state))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    return 0


def _download(names: Sequence[str]) -> int:
    fetched = [_fetch(name) for name in names]
    return 0 if all(fetched) else 1


def _fetch(name: str) -> bool:
    try:
        print(f"{name}: {fetch_weights(name, _progress_line(name))}")
    except MambaOutError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return False
    return True


def _progress_line(name: str) -> Progress:
    """A progress line on a terminal; nothing where the output is kept in a file."""
    shown_at = 0.0

    def show(done: int, total: int | None) -> None:
        nonlocal shown_at
        finished = done == total
        if not sys.stderr.isatty() or (time.monotonic() - shown_at < 0.1 and not finished):
            return
        shown_at = time.monotonic()
        of = f" of {total / 1e6:.1f}" if total else ""
        end = "\n" if finished else ""
        print(f"\r{name}: {done / 1e6:.1f}{of} MB", end=end, file=sys.stderr, flush=True)

    return show


if __name__ == "__main__":
    sys.exit(main())
