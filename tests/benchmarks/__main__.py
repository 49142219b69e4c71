"""``make bench``: this project against programs written by hand, one table."""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import astuple

from disco_rq import Disco
from tests.benchmarks import emptyparts, fsync, groupby, memory, noop, oob, smalljob, sortlines, wordcount
from tests.benchmarks.inputs import CACHE
from tests.benchmarks.measure import WORKERS, Bench, Line, pin

ROWS: dict[str, Callable[[Bench], list[Line]]] = {
    "wordcount": wordcount.run,
    "groupby": groupby.run,
    "sort": sortlines.run,
    "noop": noop.run,
    "emptyparts": emptyparts.run,
    "smalljob": smalljob.run,
    "put": oob.run,
    "memory": memory.run,
    "fsync": fsync.run,
}
HEAD = ("row", "ours", "yardstick", "ratio", "at least", "aim", "ok?", "peak memory", "")


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--row", action="append", choices=ROWS, help="only this one; may be given again")
    parser.add_argument("--rounds", type=int, default=5, help="of each program, in turn (5)")
    parser.add_argument("--scale", type=float, default=1.0, help="of the inputs (1)")
    parser.add_argument("--keep", action="store_true", help=f"leave the inputs in {CACHE} for the next run")
    options = parser.parse_args()
    cpus = pin()
    print(f"CPUs {cpus}, load {os.getloadavg()[0]:.1f}, scale {options.scale:g}, rounds {options.rounds}")
    lines: list[Line] = []
    for row in options.row or ROWS:
        began = time.monotonic()
        with Disco(workers=WORKERS) as disco:  # one for each row: what one leaves in memory is not another's
            disco.new_job("warm", ["raw://up"], map=noop.nothing).wait()
            lines += ROWS[row](Bench(disco, options.rounds, options.scale))
        print(f"{row}: {time.monotonic() - began:.0f} s", flush=True)
    if not options.keep:
        shutil.rmtree(CACHE, ignore_errors=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end; the machine should do nothing else\n")
    show(
        [HEAD, *(tuple("yes" if x is True else "NO" if x is False else x for x in astuple(i)) for i in lines)]
    )


def show(rows: Sequence[Sequence[str]]) -> None:
    """Print columns aligned."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
