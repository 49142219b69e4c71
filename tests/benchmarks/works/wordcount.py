"""Word count, all counts back in the client."""

from __future__ import annotations

import marshal
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from tests.benchmarks.runners import Runner

BLOCK_BYTES = 256 << 10


def words(line: Any, params: Any = None) -> Iterator[tuple[Any, int]]:
    """A map: of a line of text or of bytes."""
    for word in line.split():
        yield word, 1


def run(runner: Runner, given: dict[str, Any]) -> dict[str, int]:
    """The user's map for each line, a dict a file."""
    return _total(runner, _count_by_map, given)


def run_counter(runner: Runner, given: dict[str, Any]) -> dict[str, int]:
    """No map: ``Counter`` over the words of large blocks of bytes."""
    return _total(runner, _count_blocks, given)


def _total(runner: Runner, count: Callable[[str], bytes], given: dict[str, Any]) -> dict[str, int]:
    total: dict[bytes, int] = {}
    for packed in runner.each(count, given["paths"]):
        counts = marshal.loads(packed)
        if total:
            for word, number in counts.items():
                total[word] = total.get(word, 0) + number
        else:
            total = counts
    return {word.decode(): number for word, number in total.items()}


def _count_by_map(path: str) -> bytes:
    counts: dict[bytes, int] = {}
    get = counts.get
    with open(path, "rb") as lines:
        for line in lines:
            for word, number in words(line):
                counts[word] = get(word, 0) + number
    return marshal.dumps(counts)


def _count_blocks(path: str) -> bytes:
    counts: Counter[bytes] = Counter()
    with open(path, "rb", buffering=0) as file:
        for block in blocks(file):
            counts.update(block.split())
    return marshal.dumps(dict(counts))


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """Large blocks of whole lines."""
    rest = b""
    while block := file.read(BLOCK_BYTES):
        cut = block.rfind(b"\n") + 1
        if cut:
            yield rest + block[:cut]
            rest = block[cut:]
        else:
            rest += block
    if rest:
        yield rest
