"""``python -m tests.soak``: jobs back to back on one cluster while things die; does anything grow?

Two clients submit jobs of every kind and check each answer, all jobs are purged, the web page is visited,
something dies every few seconds. At the end of each minute the cluster rests for a moment and is measured.
In the last two thirds neither masters nor Redis die, so that what they keep can be followed. Leaves with 1
when a figure of the last quarter is above that of the first, or any answer was wrong.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import time

from tests.soak.soak import Soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, help="[default: random]")
    parser.add_argument("--pause", type=float, default=0.4, help="seconds between two jobs of a client [0.4]")
    chosen = parser.parse_args()
    seed = random.randrange(1_000_000) if chosen.seed is None else chosen.seed
    print(f"{chosen.minutes:g} minutes, seed {seed}", flush=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with Soak(seed, chosen.minutes * 60, chosen.pause) as soak:
        print("the cluster runs", flush=True)
        try:
            while soak.is_on:
                print(soak.minute(time.monotonic()), flush=True)
        except KeyboardInterrupt:
            pass
        except AssertionError as hangs:
            soak.wrong.append(str(hangs))
            print(hangs, flush=True)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        return soak.conclude()


if __name__ == "__main__":
    sys.exit(main())
