"""Cutting columns of pairs into blocks of about one size, whatever the pairs weigh."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from disco_rq.records.writer import EncodedBlock, encode
from disco_rq.shuffle.memory import SAMPLE, average_bytes

__all__ = ["BLOCK_BYTES", "Cutter"]

BLOCK_BYTES = 128 << 10
"""Aimed size of a block before compression. A merge holds one of each run, unpacked to several times that."""
_FIRST_COUNT = 512
_MIN_COUNT, _MAX_COUNT = 1, 16384
_MOST_BYTES = 16 * BLOCK_BYTES
"""Of Python objects that go into one block, which weigh several times what they are packed."""


class Cutter:
    """Encodes columns as blocks; learns from each block how many pairs make the next one."""

    def __init__(self) -> None:
        self.count = _FIRST_COUNT
        """Pairs that are likely to make a block."""
        self._measured = False

    def blocks(self, keys: list[Any], values: list[Any], *, grouped: bool) -> Iterator[EncodedBlock]:
        """The columns in blocks. Raises ``RecordTypeError``."""
        if not self._measured and keys:
            first = [group[0] for group in values[:SAMPLE] if group] if grouped else values[:SAMPLE]
            self._learn(average_bytes(keys[:SAMPLE]) + average_bytes(first))
            self._measured = True
        cut = self._cut_groups if grouped else self._cut_pairs
        for some_keys, some_values in cut(keys, values):
            block = encode(some_keys, some_values, grouped=grouped)
            self._learn(len(block.data) / max(block.size, 1))
            yield block

    def _learn(self, bytes_per_pair: float) -> None:
        self.count = min(max(int(BLOCK_BYTES / max(bytes_per_pair, 1.0)), _MIN_COUNT), _MAX_COUNT)

    def _cut_pairs(self, keys: list[Any], values: list[Any]) -> Iterator[tuple[list[Any], list[Any]]]:
        start = 0
        while start < len(keys):
            stop = start + self.count
            stop = start + _fitting(keys[start:stop], values[start:stop])
            yield keys[start:stop], values[start:stop]
            start = stop

    def _cut_groups(self, keys: list[Any], values: list[Any]) -> Iterator[tuple[list[Any], list[Any]]]:
        """Blocks end between groups, and within one that is longer than a block: the key then comes again."""
        ends = list(accumulate(map(len, values)))
        start = taken = 0
        while start < len(keys):
            stop = bisect_left(ends, taken + self.count, start)  # the group that reaches the count
            if stop == start and len(values[start]) > 2 * self.count:
                yield from self._cut_values(keys[start], values[start])
                stop = start + 1
            else:
                stop = max(stop, start + 1)
                firsts = [group[0] if group else None for group in values[start:stop]]
                stop = start + _fitting(keys[start:stop], firsts)
                yield keys[start:stop], values[start:stop]
            start, taken = stop, ends[min(stop, len(ends)) - 1]

    def _cut_values(self, key: Any, values: list[Any]) -> Iterator[tuple[list[Any], list[Any]]]:
        start = 0
        while start < len(values):
            stop = start + self.count
            yield [key], [values[start:stop]]
            start = stop


def _fitting(keys: list[Any], values: list[Any]) -> int:
    """How many of these pairs go into one block: they may weigh more than those from which it was learnt."""
    step = len(keys) // SAMPLE + 1
    each = average_bytes(keys[::step]) + average_bytes(values[::step])
    return len(keys) if each * len(keys) <= _MOST_BYTES else max(int(_MOST_BYTES / each), 1)
