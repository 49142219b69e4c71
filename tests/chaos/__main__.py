"""``python -m tests.chaos``: rounds of chaos, each a process with its own seed; status 1 if one is wrong."""

from __future__ import annotations

import argparse
import random
import re
import statistics
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

ROUND_TIMEOUT_S = 600
FREE = re.compile(r"slots free after ([\d.]+) s")


def play_rounds(seeds: Iterable[int], at_once: int, *, over_time: bool = False) -> Iterator[tuple[bool, str]]:
    """For each seed, in order: whether its round went well, and how. ``over_time``: of a round."""
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(partial(_play, over_time=over_time), seeds)


def _play(seed: int, *, over_time: bool) -> tuple[bool, str]:
    command = [sys.executable, "-m", "tests.chaos.round", str(seed), *["over-time"] * over_time]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=ROUND_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return False, f"seed {seed}: the round itself did not end within {ROUND_TIMEOUT_S} s"
    return done.returncode == 0, (done.stdout + done.stderr).strip() or f"seed {seed}: said nothing"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, help="of the first round, the others count on [default: random]")
    parser.add_argument("--at-once", type=int, default=3, help="rounds that are played at the same time")
    parser.add_argument("--over-time", action="store_true", help="each job has a pilot, retries or the like")
    chosen = parser.parse_args()
    first = random.randrange(1_000_000) if chosen.seed is None else chosen.seed
    wrong = 0
    free_s: list[float] = []
    for went_well, how in play_rounds(
        range(first, first + chosen.rounds), chosen.at_once, over_time=chosen.over_time
    ):
        wrong += not went_well
        free_s += map(float, FREE.findall(how))
        print("ok   " if went_well else "WRONG", how, flush=True)
    if free_s:
        print(
            f"slots were free after {statistics.median(free_s):.1f} s (median), {max(free_s):.1f} s at most"
        )
    print(f"{chosen.rounds} rounds from seed {first} on, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
