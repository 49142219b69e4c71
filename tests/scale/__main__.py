"""``make scale``: how cost grows with tasks and with workers, and what gives way first."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator

from tests.scale import many, pilots, retries, slots, virtual

ROWS: dict[str, Callable[[float], Iterator[str]]] = {
    **many.ROWS,
    "slots": slots.row,
    "planner": virtual.row,
    "pilot": pilots.row,
    "retry": retries.row,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("--row", action="append", choices=ROWS, help="only this one; may be given again")
    parser.add_argument("--scale", type=float, default=1.0, help="of the jobs and clusters (1)")
    options = parser.parse_args()
    print(f"CPUs {os.cpu_count()}, load {os.getloadavg()[0]:.1f}, scale {options.scale:g}")
    for row in options.row or ROWS:
        began = time.monotonic()
        print(f"\n{row}: {(ROWS[row].__doc__ or '').strip()}", flush=True)
        for line in ROWS[row](options.scale):
            print(f"  {line}", flush=True)
        print(f"  ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
