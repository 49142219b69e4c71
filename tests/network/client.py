"""The client on a host of its own: ``python -m tests.network.client run …``, ``… wait JOB``.

Prints the name of the job that it submits, and what comes out, each a line of JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from disco_rq import Disco, DiscoError, Job, Params, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, put, this_host, this_partition

WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog"]
REDUCES = 2


def lines(maps: int) -> list[str]:
    chance = random.Random(maps)
    return [" ".join(chance.choices(WORDS, k=20)) for _ in range(maps)]


def blob(number: int, size: int) -> bytes:
    """What no compression makes smaller."""
    return random.Random(number).randbytes(size)


def map_words(line: str, params: Any) -> Iterator[tuple[str, Any]]:
    put(f"map:{this_partition()}", this_host())
    time.sleep(params.seconds)
    for word in line.split():
        counter("words")
        yield word, 1
    for i in range(params.blobs):
        yield f"blob:{this_partition()}.{i}", blob(this_partition() + i, params.bytes)


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    put(f"reduce:{this_partition()}", this_host())
    for word, values in kvgroup(pairs):
        counter("keys")
        yield word, sum(zlib.crc32(value) if isinstance(value, bytes) else value for value in values)


@dataclass(frozen=True)
class JobOf:
    """What a job is made of, and what it gives."""

    maps: int = 4
    seconds: float = 0.0  # that a map takes
    blobs: int = 0  # of a map
    bytes: int = 0  # of a blob
    max_failures: int = 3

    def options(self) -> list[str]:
        return [word for name, value in asdict(self).items() for word in (f"--{name}", str(value))]

    def answer(self) -> dict[str, Any]:
        """What comes out of it, but for the hosts."""
        output = dict(Counter(" ".join(lines(self.maps)).split()))
        words = sum(output.values())
        output |= {
            f"blob:{number}.{i}": zlib.crc32(blob(number + i, self.bytes))
            for number in range(self.maps)
            for i in range(self.blobs)
        }
        return {
            "status": "ready",
            "output": sorted([key, value] for key, value in output.items()),
            "counters": {"words": words, "keys": len(output)},
            "oob keys": sorted(
                [f"map:{i}" for i in range(self.maps)] + [f"reduce:{i}" for i in range(REDUCES)]
            ),
        }


def run(disco: Disco, chosen: argparse.Namespace) -> dict[str, Any]:
    params = Params(seconds=chosen.seconds, blobs=chosen.blobs, bytes=chosen.bytes)
    inputs = [f"raw://{line}" for line in lines(chosen.maps)]
    job = disco.new_job(
        *("words", inputs),
        map=map_words,
        reduce=reduce_words,
        sort=True,
        nr_reduces=REDUCES,
        max_failures=chosen.max_failures,
        params=params,
    )
    print(json.dumps({"job": job.name}), flush=True)
    return answer_of(job)


def wait(disco: Disco, chosen: argparse.Namespace) -> dict[str, Any]:
    return answer_of(disco.job(chosen.job))


def hold(disco: Disco, chosen: argparse.Namespace) -> dict[str, Any]:
    """Connect to a server, and say nothing."""
    with socket.create_connection((chosen.host, chosen.port)):
        print(json.dumps({"job": ""}), flush=True)
        time.sleep(3600)
    return {}


def answer_of(job: Job) -> dict[str, Any]:
    results = job.wait()
    return {
        "status": job.results()[0],
        "output": sorted(result_iterator(results)),
        "counters": job.jobinfo()["counters"],
        "oob": {key: job.oob_get(key) for key in job.oob_list()},
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    verb = verbs.add_parser("run")
    for field in fields(JobOf):
        verb.add_argument(f"--{field.name}", type=type(field.default))
    verb.set_defaults(verb=run)
    verb = verbs.add_parser("wait")
    verb.add_argument("job")
    verb.set_defaults(verb=wait)
    verb = verbs.add_parser("hold")
    verb.add_argument("host")
    verb.add_argument("port", type=int)
    verb.set_defaults(verb=hold)
    chosen = parser.parse_args()
    try:
        with Disco() as disco:
            print(json.dumps(chosen.verb(disco, chosen)), flush=True)
    except DiscoError as error:
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)


if __name__ == "__main__":
    main()
