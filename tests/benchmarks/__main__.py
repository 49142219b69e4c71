"""``make bench``: this project against programs written by hand and against peers, one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks import table
from tests.benchmarks.environments import PACKAGES, python_of, version_of
from tests.benchmarks.inputs import KEPT
from tests.benchmarks.rows import ROWS
from tests.benchmarks.runners import WORKERS
from tests.benchmarks.turns import run_row


def main() -> None:
    options = _options()
    cpus = pin()
    head = (
        f"CPUs {cpus}, Python {platform.python_version()}, scale {options.scale:g}, rounds {options.rounds}"
    )
    print(f"{head}, load {os.getloadavg()[0]:.1f}", flush=True)
    peers = _peers(options.peers)
    chosen = [
        row for row in ROWS if (row.name in options.row if options.row else options.long or not row.is_long)
    ]
    results: list[table.Result] = []
    with _directory(options.keep) as directory:
        for row in chosen:
            began = time.monotonic()
            runs = run_row(row, peers, directory, rounds=options.rounds, scale=options.scale)
            results.append((row, runs))
            print(f"{row.name}: {time.monotonic() - began:.0f} s", flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end; the machine should do nothing else\n")
    print(table.plain(results))
    if options.markdown:
        print(f"\n{table.markdown(results)}")
    if options.json:
        options.json.write_text(json.dumps({"run": head, "rows": table.as_json(results)}, indent=1) + "\n")
    if rows := table.missed(results):
        print(f"\nbounds missed: {', '.join(rows)}")


@contextmanager
def _directory(is_kept: bool) -> Iterator[Path]:
    """Of the inputs. What is not kept is this run's own: another may end meanwhile."""
    if is_kept:
        KEPT.mkdir(exist_ok=True)
        yield KEPT
    else:
        with tempfile.TemporaryDirectory(prefix="disco-rq-bench-") as directory:
            yield Path(directory)


def _usual(has_long: bool) -> list[str]:
    return [row.name for row in ROWS if has_long or not row.is_long]


def _options() -> Any:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    names = [row.name for row in ROWS]
    parser.add_argument("--row", action="append", choices=names, help="only this one; may be given again")
    parser.add_argument("--rounds", type=int, default=5, help="of each program, in turn (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the inputs (1)")
    parser.add_argument(
        "--peers", type=_names, default=[], help=f"of {','.join(PACKAGES)}; pip installs them"
    )
    parser.add_argument("--long", action="store_true", help="the rows that take long, too")
    parser.add_argument("--markdown", action="store_true", help="the table for the README, too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--keep", action="store_true", help=f"leave the inputs in {KEPT} for the next run")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(PACKAGES):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: of {', '.join(PACKAGES)}")
    return names


def _peers(names: list[str]) -> dict[str, str]:
    """The Python of each that can be had."""
    found = {}
    for name in names:
        try:
            found[name] = python_of(name)
            print(f"{name} {version_of(name, found[name])}", flush=True)
        except OSError as error:
            print(f"{name} cannot be installed and is left out: {error}", flush=True)
            found.pop(name, None)
    return found


def pin() -> list[int]:
    """Keep this process, and all that it starts, on two CPUs."""
    cpus = sorted(os.sched_getaffinity(0))[:WORKERS]
    os.sched_setaffinity(0, cpus)
    return cpus


if __name__ == "__main__":
    main()
