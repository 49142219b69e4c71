"""Group-by without a combiner: number and sum of each word's values, by a generic function of them."""

from __future__ import annotations

import itertools
import marshal
import operator
import zlib
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from tests.benchmarks.runners import Runner
from tests.benchmarks.works.wordcount import words

REDUCES = 2

Groups = list[tuple[str, tuple[int, int]]]


def count_and_sum(values: Iterable[int]) -> tuple[int, int]:
    """Of one group."""
    number = total = 0
    for value in values:
        number += 1
        total += value
    return number, total


def run_pairs(runner: Runner, given: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Pairs through files, sorted once, as one writes it for groups of any size."""
    return dict(itertools.chain.from_iterable(runner.shuffle(_map, given["paths"], _reduce, REDUCES)))


def run_dicts(runner: Runner, given: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """A dict of lists for each file, all of it in memory."""
    parts = runner.shuffle(_map_grouped, given["paths"], _reduce_grouped, REDUCES)
    return dict(itertools.chain.from_iterable(parts))


def _map(path: str) -> list[bytes]:
    parts: list[list[tuple[bytes, int]]] = [[] for _ in range(REDUCES)]
    add = [part.append for part in parts]
    crc32 = zlib.crc32
    with open(path, "rb") as lines:
        for line in lines:
            for pair in words(line):
                add[crc32(pair[0]) % REDUCES](pair)
    return [marshal.dumps(part) for part in parts]


def _reduce(parts: list[bytes]) -> Groups:
    pairs: list[tuple[bytes, int]] = []
    while parts:
        pairs += marshal.loads(parts.pop())
    pairs.sort(key=operator.itemgetter(0))
    value_of = operator.itemgetter(1)
    return [
        (word.decode(), count_and_sum(map(value_of, group)))
        for word, group in itertools.groupby(pairs, operator.itemgetter(0))
    ]


def _map_grouped(path: str) -> list[bytes]:
    values: defaultdict[bytes, list[int]] = defaultdict(list)
    with open(path, "rb") as lines:
        for line in lines:
            for word, value in words(line):
                values[word].append(value)
    parts: list[dict[bytes, list[int]]] = [{} for _ in range(REDUCES)]
    for word, listed in values.items():
        parts[zlib.crc32(word) % REDUCES][word] = listed
    return [marshal.dumps(part) for part in parts]


def _reduce_grouped(parts: list[bytes]) -> Groups:
    values: dict[bytes, list[int]] = marshal.loads(parts.pop())
    while parts:
        for word, listed in marshal.loads(parts.pop()).items():
            if word in values:
                values[word] += listed
            else:
                values[word] = listed
    return [(word.decode(), count_and_sum(values[word])) for word in sorted(values)]
