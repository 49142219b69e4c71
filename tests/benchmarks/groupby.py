"""Group-by, 64 MB, no combiner, sorted, a generic reduce over the groups."""

from __future__ import annotations

import itertools
import operator
import pickle
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

from disco_rq import result_iterator
from disco_rq.func import kvgroup
from tests.benchmarks.inputs import Text
from tests.benchmarks.measure import Bench, Line
from tests.benchmarks.wordcount import words

REDUCES = 2


def count_and_sum(values: Iterable[int]) -> tuple[int, int]:
    number = total = 0
    for value in values:
        number += 1
        total += value
    return number, total


def groups(pairs: Any, params: Any) -> Iterator[tuple[str, tuple[int, int]]]:
    for word, values in kvgroup(pairs):
        yield word, count_and_sum(values)


def run(bench: Bench) -> list[Line]:
    paths = Text(bench.size(64), 8).paths

    def ours() -> Callable[[], dict[str, tuple[int, int]]]:
        job = bench.disco.new_job(
            "groupby", list(map(str, paths)), map=words, reduce=groups, sort=True, nr_reduces=REDUCES
        )
        answer = dict(result_iterator(job.wait()))

        def purged() -> dict[str, tuple[int, int]]:
            job.purge()
            return answer

        return purged

    pairs = bench.compare(ours, partial(by_hand, paths=paths, stage=(_map_sorted, _reduce_sorted)))
    tuned = bench.compare(ours, partial(by_hand, paths=paths, stage=(_map_grouped, _reduce_grouped)))
    return [
        pairs.line(
            "groupby", 0.8, 0.5, "yardstick: a shuffle as in the books, pairs sorted in map and reduce"
        ),
        tuned.line("groupby-tuned", None, None, "for comparison: a dict for each file, all of it in memory"),
    ]


def by_hand(pool: Pool, paths: list[Path], stage: tuple[Any, Any]) -> dict[str, tuple[int, int]]:
    """Map, partition to files, reduce: as one writes it for data that one process may not hold."""
    directory = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        pool.map(partial(stage[0], directory), enumerate(paths), chunksize=1)
        reduce = partial(stage[1], directory, len(paths))
        return dict(itertools.chain.from_iterable(pool.map(reduce, range(REDUCES), chunksize=1)))
    finally:
        shutil.rmtree(directory)


def _map_grouped(directory: Path, numbered: tuple[int, Path]) -> None:
    number, path = numbered
    values: dict[str, list[int]] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            for word, value in words(line, None):
                if word in values:
                    values[word].append(value)
                else:
                    values[word] = [value]
    parts: list[list[tuple[str, list[int]]]] = [[] for _ in range(REDUCES)]
    for word, listed in values.items():
        parts[zlib.crc32(word.encode()) % REDUCES].append((word, listed))
    _write(directory, number, parts)


def _reduce_grouped(directory: Path, files: int, part: int) -> list[tuple[str, tuple[int, int]]]:
    values: dict[str, list[int]] = {}
    for number in range(files):
        for word, listed in pickle.loads((directory / f"{number}-{part}").read_bytes()):
            values.setdefault(word, []).extend(listed)
    return [(word, count_and_sum(values[word])) for word in sorted(values)]


def _map_sorted(directory: Path, numbered: tuple[int, Path]) -> None:
    number, path = numbered
    parts: list[list[tuple[str, int]]] = [[] for _ in range(REDUCES)]
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            for word, value in words(line, None):
                parts[zlib.crc32(word.encode()) % REDUCES].append((word, value))
    for pairs in parts:
        pairs.sort()
    _write(directory, number, parts)


def _reduce_sorted(directory: Path, files: int, part: int) -> list[tuple[str, tuple[int, int]]]:
    pairs = []
    for number in range(files):
        pairs += pickle.loads((directory / f"{number}-{part}").read_bytes())
    pairs.sort(key=operator.itemgetter(0))
    return [
        (word, count_and_sum(value for _, value in group))
        for word, group in itertools.groupby(pairs, operator.itemgetter(0))
    ]


def _write(directory: Path, number: int, parts: list[Any]) -> None:
    for part, content in enumerate(parts):
        (directory / f"{number}-{part}").write_bytes(pickle.dumps(content, -1))
