"""Sorting more pairs than memory holds: buffers them by key, spills sorted runs, merges the runs.

Two ways to buffer. Grouped, ``key -> [values]``: only distinct keys are sorted. As two columns: when keys
hardly repeat, when they cannot be hashed, and when the values are sorted, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from itertools import chain, islice, repeat
from operator import itemgetter
from pathlib import Path
from typing import Any

from disco_rq.records import FileSource, PairBatch, RecordWriter, batches
from disco_rq.records.pairs import NotAPair, taken_columns, taken_pairs
from disco_rq.records.taken import PLAIN, taken
from disco_rq.shuffle.cutting import Cutter
from disco_rq.shuffle.memory import (
    GROUP_BYTES,
    PAIR_BYTES,
    REFERENCE_BYTES,
    SAMPLE,
    SLICE_PAIRS,
    average_bytes,
)
from disco_rq.shuffle.merge import merged, merged_both
from disco_rq.shuffle.partition import Partitioner
from disco_rq.shuffle.sortorder import (
    groups_by_key,
    marks_of,
    marks_of_both,
    picked,
    plain_keys,
    plain_kind,
)

__all__ = ["Sorter"]

_SLICE_BYTES = 1 << 20
_JUDGE_PAIRS = 8192
"""After so many pairs it is judged whether the keys repeat."""
_REPEATING = 0.7
"""Distinct keys among the pairs at which grouping costs more than it saves."""
_MERGE_BYTES = 2 << 20
"""What one run takes in memory while it is merged: a block, unpacked."""
_MAX_FAN_IN = 64
_PICKED_PAIRS = 8192
_HEADROOM = 0.8
"""The rest of the limit is for sorting and packing while a run is written."""

_key, _value = itemgetter(0), itemgetter(1)


class Sorter:
    """Takes pairs, then gives them partition by partition, sorted by key, holding about ``limit_bytes``."""

    def __init__(
        self,
        scratch: Path,
        limit_bytes: int,
        partitioner: Partitioner,
        *,
        objects: bool = False,
        values: bool = False,
        grouped_is_enough: bool = False,
    ) -> None:
        """``objects``: values may be of any type; what records do not hold is pickled when it is spilled.

        ``values``: those of a key come in order, too; ``RecordTypeError`` for one that has no order.
        ``grouped_is_enough``: who takes the pairs sorts them, so that groups may come in any order.
        """
        self._objects = objects
        self._scratch = scratch
        self._limit_bytes = limit_bytes
        self._partitioner = partitioner
        self._groups: defaultdict[Any, list[Any]] = defaultdict(list)
        self._kinds: set[type] = set()
        """Types of the values in the groups, as far as these came as pairs."""
        self._knows_kinds = True
        self._keys: list[Any] = []
        self._values: list[Any] = []
        self._grouping = not values
        self._grouped_is_enough = grouped_is_enough
        self._marks_of = marks_of_both if values else marks_of
        self._merged = merged_both if values else merged
        self.judging = True
        """Whether what comes now tells if keys repeat. Before, blocks that are not grouped have keys that
        hardly do.
        """
        self._judged_pairs = self._judged_keys = 0
        self._nr_before = 0  # pairs in the columns that came before
        self._taken = 0  # pairs since the last spill
        self._bytes = 0.0
        self._slice = SAMPLE
        self._runs: list[Path] = []
        self._nr_run_files = 0

    def feed(self, pairs: Iterator[Any]) -> None:
        """Take all pairs of an iterator, hardly more than ``limit_bytes`` at a time."""
        while sample := taken_pairs(islice(pairs, SAMPLE)):
            take = self._group if self._grouping else self._collect
            take(sample, pairs)

    def feed_batch(self, batch: PairBatch) -> None:
        """Take a decoded block; its lists are taken over, not copied."""
        if self._grouping and not plain_kind(batch.keys) and not all(map(_hashable, batch.keys)):
            self._ungroup()
        if self._grouping and (batch.grouped or (self.judging and not self._keys)):
            self._group_batch(batch)
            return
        if self._groups:
            self._ungroup(may_group_again=self._grouping)
        self._collect_batch(batch)
        if not self.judging:
            self._nr_before = len(self._keys)
        elif self._grouping and len(self._keys) >= self._nr_before + _JUDGE_PAIRS:
            self._judge_columns()

    def finish(self) -> Iterator[tuple[int, Iterator[PairBatch]]]:
        """``(partition, its sorted batches)`` in ascending order; read each before the next."""
        if not self._runs:
            yield from self._sorted_partitions(grouped_is_enough=self._grouped_is_enough)
            return
        self.spill()
        self._merge_down_to(min(max(self._limit_bytes // _MERGE_BYTES, 2), _MAX_FAN_IN))
        for partition in range(self._partitioner.nr_partitions):
            yield partition, self._merged(self._read(self._runs, partition))

    def _group(self, sample: list[Any], pairs: Iterator[Any]) -> None:
        groups, kinds = self._groups, self._kinds
        nr_keys = len(groups)
        first, coming = iter(sample), islice(pairs, self._slice)
        key = value = None
        try:
            for key, value in first:
                groups[key].append(value)
                kinds.add(type(value))
            usual, kind = value, type(value) if type(value) in PLAIN else None  # such values cannot change
            for pair in coming:
                match pair:
                    case [*_]:  # see ``is_pair``: a third of the time of any other look
                        key, value = pair
                    case _:
                        raise NotAPair(pair)
                # Often it is one object again and again, a 1 or "GET": to see that costs next to nothing.
                if value is not usual and type(value) is not kind:
                    value = taken(value)
                    kind = type(value) if type(value) in PLAIN else None
                    kinds.add(type(value))
                groups[key].append(value)
        except TypeError:
            if _hashable(key):
                raise
            self._ungroup()
            self._add([taken(key)], [taken(value)])
            self._add(*taken_columns(chain(first, coming)))
        self._weigh(sample, len(sample) + self._slice, len(groups) - nr_keys)

    def _collect(self, sample: list[Any], pairs: Iterator[Any]) -> None:
        nr_pairs = len(self._keys)
        self._add(map(_key, sample), map(_value, sample))
        self._add(*taken_columns(islice(pairs, self._slice)))
        self._weigh(sample, len(self._keys) - nr_pairs, 0)

    def _group_batch(self, batch: PairBatch) -> None:
        groups = self._groups
        self._knows_kinds = False
        nr_keys = len(groups)
        nr_pairs = 0
        if batch.grouped:
            for key, values in zip(batch.keys, batch.values, strict=True):
                if key in groups:
                    groups[key] += values
                else:
                    groups[key] = values
            nr_pairs = sum(map(len, batch.values))
        else:
            for key, value in zip(batch.keys, batch.values, strict=True):
                groups[key].append(value)
            nr_pairs = len(batch.keys)
        self._weigh(_some(batch), nr_pairs, len(groups) - nr_keys)

    def _collect_batch(self, batch: PairBatch) -> None:
        nr_pairs = len(self._keys)
        add = self._add_groups if batch.grouped else self._add
        add(batch.keys, batch.values)
        self._weigh(_some(batch), len(self._keys) - nr_pairs, 0)

    def _add(self, keys: Iterable[Any], values: Iterable[Any]) -> None:
        self._keys += keys
        self._values += values

    def _add_groups(self, keys: Iterable[Any], values: Collection[list[Any]]) -> None:
        self._add(chain.from_iterable(map(repeat, keys, map(len, values))), chain.from_iterable(values))

    def _ungroup(self, *, may_group_again: bool = False) -> None:
        """Go on with columns. Those that there are came before the groups: values keep their order."""
        self._grouping = may_group_again
        self._add_groups(self._groups, self._groups.values())
        self._groups.clear()

    def _judge_columns(self) -> None:
        """Whether what came in columns so far is to be grouped, by what has come since it tells."""
        keys, values = self._keys, self._values
        if len(keys) - len(set(keys)) <= (1 - _REPEATING) * (len(keys) - self._nr_before):
            self._ungroup()
            return
        self._judged_pairs = _JUDGE_PAIRS
        self._keys, self._values = [], []
        if not self._groups:
            self._bytes = 0.0  # of the columns
        self._group_batch(PairBatch(keys, values, False))

    def _weigh(self, sample: list[Any], nr_pairs: int, nr_new_keys: int) -> None:
        """Add the weight of new pairs, judge whether grouping pays, spill when it is time."""
        self._taken += nr_pairs
        keys, values = average_bytes(list(map(_key, sample))), average_bytes(list(map(_value, sample)))
        if self._grouping:
            self._bytes += nr_pairs * (REFERENCE_BYTES + values) + nr_new_keys * (GROUP_BYTES + keys)
        else:
            self._bytes += nr_pairs * (PAIR_BYTES + keys + values)
        slice_bytes = min(_SLICE_BYTES, self._limit_bytes // 16)
        self._slice = min(max(int(slice_bytes / (PAIR_BYTES + keys + values)), SAMPLE), SLICE_PAIRS)
        if self._grouping and self.judging and self._judged_pairs < _JUDGE_PAIRS:
            self._judged_pairs += nr_pairs
            self._judged_keys += nr_new_keys
            if self._judged_pairs >= _JUDGE_PAIRS and self._judged_keys > _REPEATING * self._judged_pairs:
                self._ungroup()
        if self._bytes > self._limit_bytes * _HEADROOM:
            self.spill()

    def _sorted_partitions(
        self, *, grouped_is_enough: bool = False
    ) -> Iterator[tuple[int, Iterator[PairBatch]]]:
        """What is in memory, sorted, partition by partition; memory is given up on the way."""
        if self._keys:
            self._ungroup()
        yield from self._sorted_groups(grouped_is_enough) if self._grouping else self._sorted_columns()
        self._taken, self._bytes, self._nr_before = 0, 0.0, 0

    def _sorted_groups(self, grouped_is_enough: bool) -> Iterator[tuple[int, Iterator[PairBatch]]]:
        groups: dict[Any, list[Any]] = self._groups
        self._groups = defaultdict(list)
        kinds, self._kinds = self._kinds if self._knows_kinds else None, set()
        keys = list(groups)
        is_plain = plain_kind(keys) is not None
        if not is_plain:
            groups = dict(zip(*groups_by_key(_same_made_same(groups)), strict=True))
            keys = list(groups)
        for partition, some in self._partitioner.split(keys):
            if is_plain and not grouped_is_enough:
                some.sort()
            yield partition, iter((PairBatch(some, list(map(groups.pop, some)), True, kinds),))

    def _sorted_columns(self) -> Iterator[tuple[int, Iterator[PairBatch]]]:
        keys, self._keys = plain_keys(self._keys), []
        values, self._values = self._values, []
        for partition, places in self._partitioner.shares(keys, self._marks_of(keys, values)):
            yield partition, _picked(keys, values, places)

    def spill(self) -> None:
        """Ask for the partitions of all that there is, and put it on the disk."""
        if self._taken:
            self._write_run(self._sorted_partitions())

    def _write_run(self, partitions: Iterable[tuple[int, Iterator[PairBatch]]]) -> None:
        path = self._scratch / f"run-{self._nr_run_files}"
        self._nr_run_files += 1
        with RecordWriter(path, self._partitioner.nr_partitions) as writer:
            cutter = Cutter(objects=self._objects)
            for partition, row in partitions:
                for batch in row:
                    for block in cutter.blocks(batch):
                        writer.add(partition, block)
        self._runs.append(path)

    def _merge_down_to(self, fan_in: int) -> None:
        """Merge neighbouring runs into longer ones until all the rest can be merged at once."""
        while len(self._runs) > fan_in:
            runs, self._runs = self._runs, []
            for first in range(0, len(runs), fan_in):
                some = runs[first : first + fan_in]
                self._write_run(
                    (partition, self._merged(self._read(some, partition)))
                    for partition in range(self._partitioner.nr_partitions)
                )
                for path in some:
                    path.unlink()

    def _read(self, runs: list[Path], partition: int) -> list[Iterator[PairBatch]]:
        return [
            batches(FileSource(path, str(path)).blocks(partition), str(path), objects=self._objects)
            for path in runs
        ]


def _picked(keys: list[Any], values: list[Any], places: list[int]) -> Iterator[PairBatch]:
    """Some at a time: who packs them finds them in the processor's cache."""
    for start in range(0, len(places), _PICKED_PAIRS):
        some = places[start : start + _PICKED_PAIRS]
        yield PairBatch(picked(keys, some), picked(values, some), False)


def _same_made_same(groups: dict[Any, list[Any]]) -> Iterator[tuple[Any, list[Any]]]:
    return zip(plain_keys(list(groups)), groups.values(), strict=True)


def _some(batch: PairBatch) -> list[tuple[Any, Any]]:
    """A few pairs from all over the batch."""
    step = len(batch.keys) // SAMPLE + 1
    keys, values = batch.keys[::step], batch.values[::step]
    if not batch.grouped:
        return list(zip(keys, values, strict=True))
    return [(key, group[len(group) // 2]) for key, group in zip(keys, values, strict=True) if group]


def _hashable(key: Any) -> bool:
    try:
        hash(key)
    except TypeError:
        return False
    return True
