"""Sort, 200 MB of 100-byte lines, range partitions, files out."""

from __future__ import annotations

import hashlib
import operator
import pickle
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

from disco_rq import result_iterator
from disco_rq.func import nop_reduce
from tests.benchmarks.inputs import records
from tests.benchmarks.measure import Bench, Line

REDUCES = 4


def split(line: str, params: Any) -> list[tuple[str, str]]:
    return [(line[:10], line[10:].rstrip("\n"))]


def by_range(key: str, nr_reduces: int, params: Any) -> int:
    return int(key) * nr_reduces // 10**10


def run(bench: Bench) -> list[Line]:
    paths = records(bench.size(200), 8)

    def ours() -> Callable[[], str]:
        job = bench.disco.new_job(
            "sort",
            list(map(str, paths)),
            map=split,
            reduce=nop_reduce,
            partition=by_range,
            sort=True,
            nr_reduces=REDUCES,
        )
        results = job.wait()

        def answer() -> str:
            digest = _digest(f"{key}{rest}\n" for key, rest in result_iterator(results))
            job.purge()
            return digest

        return answer

    result = bench.compare(ours, partial(by_hand, paths=paths))
    return [
        result.line("sort", 2, 1, "yardstick: buckets pickled to files, each read, sorted, written as text")
    ]


def by_hand(pool: Pool, paths: list[Path]) -> Callable[[], str]:
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    pool.map(partial(_map, directory), enumerate(paths), chunksize=1)
    outputs = pool.map(partial(_reduce, directory, len(paths)), range(REDUCES), chunksize=1)

    def answer() -> str:
        digest = _digest(line for path in outputs for line in path.open())
        shutil.rmtree(directory)
        return digest

    return answer


def _map(directory: Path, numbered: tuple[int, Path]) -> None:
    number, path = numbered
    parts: list[list[tuple[str, str]]] = [[] for _ in range(REDUCES)]
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            for pair in split(line, None):
                parts[by_range(pair[0], REDUCES, None)].append(pair)
    for part, pairs in enumerate(parts):
        (directory / f"{number}-{part}").write_bytes(pickle.dumps(pairs, -1))


def _reduce(directory: Path, files: int, part: int) -> Path:
    pairs: list[tuple[str, str]] = []
    for number in range(files):
        pairs += pickle.loads((directory / f"{number}-{part}").read_bytes())
    pairs.sort(key=operator.itemgetter(0))
    out = directory / f"out-{part}"
    with out.open("w", encoding="utf-8") as file:
        file.writelines(f"{key}{rest}\n" for key, rest in pairs)
    return out


def _digest(lines: Iterable[str]) -> str:
    """Of the keys in order, and of all lines whatever their order is among equal keys."""
    keys, everything = hashlib.sha1(), 0
    for line in lines:
        keys.update(line[:10].encode())
        everything ^= hash(line)
    return f"{keys.hexdigest()} {everything}"
