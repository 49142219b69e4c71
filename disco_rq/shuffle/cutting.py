"""Cutting columns of pairs into blocks of about one size, whatever the pairs weigh."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence, Set
from itertools import accumulate
from typing import Any

from disco_rq.records import PairBatch
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

    def __init__(self, *, objects: bool = False, digest: bool = False) -> None:
        """``objects``: see ``records.typed``; ``digest``: each block has that of its pairs."""
        self._objects = objects
        self._digest = digest
        self.count = _FIRST_COUNT
        """Pairs that are likely to make a block."""
        self._measured = False

    def blocks(self, batch: PairBatch) -> Iterator[EncodedBlock]:
        """The columns in blocks. Raises ``RecordTypeError``."""
        keys, values, grouped, kinds = batch
        if len(keys) == 1 and not grouped:  # is a block, whatever it weighs
            yield self._encoded(keys, values, kinds, grouped=False)
            return
        if not self._measured and keys:
            first = [group[0] for group in values[:SAMPLE] if group] if grouped else values[:SAMPLE]
            self._learn(average_bytes(keys[:SAMPLE]) + average_bytes(first))
            self._measured = True
        cut = self._cut_groups if grouped else self._cut_pairs
        for some_keys, some_values in cut(keys, values):
            block = self._encoded(some_keys, some_values, kinds, grouped=grouped)
            self._learn(len(block.data) / max(block.size, 1))
            yield block

    def _encoded(
        self, keys: list[Any], values: list[Any], kinds: Set[type] | None, *, grouped: bool
    ) -> EncodedBlock:
        objects, digest = self._objects, self._digest
        return encode(keys, values, grouped=grouped, kinds=kinds, objects=objects, digest=digest)

    def _learn(self, bytes_per_pair: float) -> None:
        self.count = min(max(int(BLOCK_BYTES / max(bytes_per_pair, 1.0)), _MIN_COUNT), _MAX_COUNT)

    def _cut_pairs(self, keys: list[Any], values: list[Any]) -> Iterator[tuple[list[Any], list[Any]]]:
        start = 0
        while start < len(keys):
            count = min(self.count, len(keys) - start)
            some = slice(start, start + count, count // SAMPLE + 1)
            stop = start + _fitting(keys[some], values[some], count)
            yield keys[start:stop], values[start:stop]
            start = stop

    def _cut_groups(self, keys: list[Any], values: list[Any]) -> Iterator[tuple[list[Any], list[Any]]]:
        """Blocks end between groups, and within one that is longer than a block: the key then comes again."""
        ends = list(accumulate(map(len, values)))
        start = taken = 0
        while start < len(keys):
            some = range(taken, min(taken + self.count, ends[-1]))
            fitting = _fitting(*_spread(keys, values, ends, some), len(some))
            count = self.count if fitting == len(some) else fitting
            stop = bisect_left(ends, taken + count, start)  # the group that reaches the count
            if stop == start and len(values[start]) > 2 * count:
                yield from self._cut_values(keys[start], values[start])
                stop = start + 1
            else:
                stop = max(stop, start + 1)
                yield keys[start:stop], values[start:stop]
            start, taken = stop, ends[min(stop, len(ends)) - 1]

    def _cut_values(self, key: Any, values: list[Any]) -> Iterator[tuple[list[Any], list[Any]]]:
        start = 0
        while start < len(values):
            count = min(self.count, len(values) - start)
            some = values[start : start + count : count // SAMPLE + 1]
            stop = start + _fitting((), some, count)
            yield [key], [values[start:stop]]
            start = stop


def _fitting(keys: Sequence[Any], values: Sequence[Any], count: int) -> int:
    """How many of the next ``count`` pairs, of which these are a few, go into one block.

    They may weigh more than those from which the count was learnt.
    """
    each = average_bytes(keys) + average_bytes(values)
    return count if each * count <= _MOST_BYTES else max(int(_MOST_BYTES / each), 1)


def _spread(keys: list[Any], values: list[Any], ends: list[int], some: range) -> tuple[list[Any], list[Any]]:
    """A few pairs from all over a range of grouped ones. ``ends``: how many there are up to each group."""
    sample_keys, sample_values = [], []
    for at in some[:: len(some) // SAMPLE + 1]:
        group = bisect_right(ends, at)
        sample_keys.append(keys[group])
        sample_values.append(values[group][at - ends[group]])
    return sample_keys, sample_values
