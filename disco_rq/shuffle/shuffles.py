"""Map side: where the pairs of a map go, by what the job asks of them. Each takes all, then writes.

Ordered   no sort: pairs stay in the order in which the map gave them, within each partition
Sorted    sort: see ``sorter``
Opaque    a ``map_writer`` of the job: its bytes, partition by partition
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from disco_rq.errors import TaskError
from disco_rq.records import PairBatch
from disco_rq.records.blocks import Kind
from disco_rq.records.opaque import OpaqueFile
from disco_rq.records.pairs import NotAPair, is_pair, one_by_one, place_of, shown, taken_columns
from disco_rq.records.taken import PLAIN, taken_deep
from disco_rq.records.writer import EncodedBlock, RecordWriter
from disco_rq.shuffle.cutting import Cutter
from disco_rq.shuffle.folding import HELD_BYTES, STATE_BYTES, FoldCombiner, Folded
from disco_rq.shuffle.interleaved import Interleaved
from disco_rq.shuffle.memory import (
    GROUP_BYTES,
    PAIR_BYTES,
    REFERENCE_BYTES,
    SAMPLE,
    SLICE_PAIRS,
    average_bytes,
)
from disco_rq.shuffle.partition import Partitioner
from disco_rq.shuffle.sorter import Sorter
from disco_rq.shuffle.summing import not_summed

__all__ = ["Opaque", "Ordered", "Shuffle", "Sorted", "combined", "folded", "summed"]

_SUMMED_PAIRS = 8192
"""Where only keys that are new stay: to weigh costs a tenth of the time there."""
_SLICE_BYTES = 1 << 20


class Shuffle(Protocol):
    """Takes a map's pairs, then writes them."""

    def feed(self, pairs: Iterator[Any]) -> None:
        """Take all pairs. Raises ``TaskError`` for no pair, ``PartitionError``, ``RecordTypeError``."""

    def go_on(self, params: Any) -> None:
        """The pairs that are fed from here on have other ``params``."""

    def finish(self, writer: RecordWriter) -> int:
        """Write everything. Returns the number of pairs written."""


class Ordered:
    """Pairs in the order of the map, within each partition."""

    def __init__(self, scratch: Path, limit_bytes: int, partitioner: Partitioner) -> None:
        self._partitioner = partitioner
        self._packed = Interleaved(scratch, limit_bytes // 2)
        # Of those partitions that have something: there may be hundreds, and a map of one pair.
        self._cutters: defaultdict[int, Cutter] = defaultdict(partial(Cutter, digest=partitioner.has_digests))
        self._buckets: defaultdict[int, _Columns] = defaultdict(_Columns)
        self._limit_bytes = limit_bytes // 3
        self._bytes = 0.0

    def feed(self, pairs: Iterator[Any]) -> None:
        size = SAMPLE
        while True:
            keys, values = taken_columns(islice(pairs, size))
            if keys:
                self._distribute(keys, values)
            if len(keys) < size:
                break
            weight = _weight(keys, values)
            size = _slice_size(weight)
            self._bytes += weight * len(keys)
            if self._bytes > self._limit_bytes:
                self._pack_all()

    def go_on(self, params: Any) -> None:
        self._partitioner.params = params

    def finish(self, writer: RecordWriter) -> int:
        self._pack_all()
        self._packed.finish(writer)
        return writer.size

    def _distribute(self, keys: list[Any], values: list[Any]) -> None:
        buckets = self._buckets
        if self._partitioner.is_trivial:
            buckets[0].keys += keys
            buckets[0].values += values
            touched: Iterable[int] = (0,)
        else:
            parts = self._partitioner.many(keys)
            for partition, key, value in zip(parts, keys, values, strict=True):
                bucket = buckets[partition]
                bucket.keys.append(key)
                bucket.values.append(value)
            touched = set(parts)
        for partition in touched:
            if len(buckets[partition].keys) >= self._cutters[partition].count:
                self._pack(partition)

    def _pack_all(self) -> None:
        for partition in list(self._buckets):
            self._pack(partition)
        self._bytes = 0.0

    def _pack(self, partition: int) -> None:
        bucket = self._buckets.pop(partition)
        for block in self._cutters[partition].blocks(PairBatch(bucket.keys, bucket.values, False)):
            self._packed.add(partition, block)


@dataclass(slots=True)
class _Columns:
    keys: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)


class Sorted:
    """Pairs sorted by key within each partition; with ``values`` those of a key are, too."""

    def __init__(
        self,
        scratch: Path,
        limit_bytes: int,
        partitioner: Partitioner,
        *,
        values: bool = False,
        grouped_is_enough: bool = False,
    ) -> None:
        """``grouped_is_enough``: see ``Sorter``."""
        self._sorter = Sorter(
            scratch, limit_bytes, partitioner, values=values, grouped_is_enough=grouped_is_enough
        )
        self._partitioner = partitioner
        self.feed = self._sorter.feed

    def go_on(self, params: Any) -> None:
        if self._partitioner.is_own:
            self._sorter.spill()
        self._partitioner.params = params

    def finish(self, writer: RecordWriter) -> int:
        cutter = Cutter(digest=self._partitioner.has_digests)
        for partition, batches in self._sorter.finish():
            for batch in batches:
                for block in cutter.blocks(batch):
                    writer.add(partition, block)
        return writer.size


class Opaque:
    """What a ``map_writer`` makes of the pairs, a stream of bytes for each partition."""

    def __init__(
        self,
        scratch: Path,
        limit_bytes: int,
        partitioner: Partitioner,
        write: Callable[..., None],
        params: Any,
    ) -> None:
        self._partitioner = partitioner
        self._packed = Interleaved(scratch, limit_bytes)
        nr_partitions = partitioner.nr_partitions
        self._digest = partitioner.has_digests
        self._files = [OpaqueFile(self._hand_on(i), digest=self._digest) for i in range(nr_partitions)]
        self._write = write
        self._params = params
        self._nr_pairs = 0

    def feed(self, pairs: Iterator[Any]) -> None:
        """Each is written before the next is asked for: it may be one object, filled again and again."""
        write, files, params, partition_of = self._write, self._files, self._params, self._partitioner.one
        for key, value in one_by_one(pairs):
            file = files[partition_of(key)]
            write(file, key, value, params)
            file.end_pair()
            self._nr_pairs += 1

    def go_on(self, params: Any) -> None:
        self._params = self._partitioner.params = params

    def finish(self, writer: RecordWriter) -> int:
        for partition, file in enumerate(self._files):
            file.hand_on_rest()
            self._packed.add_digest(partition, file.digest)
        self._packed.finish(writer)
        return self._nr_pairs

    def _hand_on(self, partition: int) -> Callable[[bytes], None]:
        return lambda data: self._packed.add(partition, EncodedBlock(Kind.OPAQUE, len(data), data))


def summed(pairs: Iterator[Any], limit_bytes: int) -> Iterator[tuple[Any, Any]]:
    """``func.sum_combiner``, inlined: for each key its sum, partial sums when memory gets short."""
    sums: dict[Any, Any] = {}
    get = sums.get  # faster here than a defaultdict
    size, used = SAMPLE, 0.0
    while True:
        nr_keys = len(sums)
        some: list[tuple[Any, Any]] = []
        for key, value in one_by_one(islice(pairs, SAMPLE)):
            try:
                sums[key] = get(key, 0) + value
            except TypeError as error:
                raise _not_summed(key, value, error) from error
            some.append((key, value))
        if not some:
            break
        for pair in islice(pairs, size):
            match pair:
                case [*_]:  # see ``is_pair``: a third of the time of any other look
                    key, value = pair
                    try:  # costs nothing
                        sums[key] = get(key, 0) + value
                    except TypeError as error:
                        raise _not_summed(key, value, error) from error
                case _:
                    raise NotAPair(pair)
        weight = _weight([key for key, _ in some], [value for _, value in some])
        size = _slice_size(weight, _SUMMED_PAIRS)
        used += (len(sums) - nr_keys) * (GROUP_BYTES + weight)
        if used > limit_bytes // 2:
            yield from sums.items()
            sums.clear()
            used = 0.0
    yield from sums.items()


def _not_summed(key: Any, value: Any, error: TypeError) -> TaskError:
    hashes = "a tuple can be, and without a combiner sort=True takes any key"
    return not_summed("sum_combiner", key, f"the value {shown(value)}", error, hashes=hashes)


def folded(pairs: Iterator[Any], combiner: FoldCombiner, limit_bytes: int) -> Iterator[tuple[Any, Any]]:
    """A ready-made combiner, inlined: for each key the parts of its fold, several when memory gets short."""
    fold = combiner.fold
    states = Folded(fold, take=taken_deep)
    size, used = SAMPLE, 0.0
    while True:
        nr_keys = len(states)
        some: list[tuple[Any, Any]] = []
        for key, value in one_by_one(islice(pairs, SAMPLE)):
            states.add(key, value)
            some.append((key, value))
        if not some:
            break
        nr_pairs = states.add_many(islice(pairs, size))
        weight = _weight([key for key, _ in some], [value for _, value in some])
        size = max(min(_slice_size(weight), int(limit_bytes / 4 / weight)), SAMPLE)
        used += (len(states) - nr_keys) * (GROUP_BYTES + STATE_BYTES + weight)
        if fold.grows:
            used += (len(some) + nr_pairs) * (HELD_BYTES + weight)
        if used > limit_bytes // 2:
            yield from states.take()
            used = 0.0
    yield from states.take()


def combined(
    pairs: Iterator[Any], combine: Callable[..., Iterable[Any] | None], partitioner: Partitioner, params: Any
) -> Iterator[Any]:
    """What a combiner of the job, which has a dict for each partition, returns on the way and at the end.

    It may keep what it is given, whatever the map does with it later.
    """
    buffers: list[dict[Any, Any]] = [{} for _ in range(partitioner.nr_partitions)]
    partition_of = partitioner.one
    of_keys = of_values = None  # the last types that cannot change
    for key, value in one_by_one(pairs):
        if type(key) is not of_keys:
            key = taken_deep(key)
            of_keys = type(key) if type(key) in PLAIN else None
        if type(value) is not of_values:
            value = taken_deep(value)
            of_values = type(value) if type(value) in PLAIN else None
        out = combine(key, value, buffers[partition_of(key)], False, params)
        if out is not None:
            yield from _given(combine, out)
    for buffer in buffers:
        out = combine(None, None, buffer, True, params)
        if out is not None:
            yield from _given(combine, out)


def _given(combine: Callable[..., Any], out: Any) -> Iterator[Any]:
    """What a combiner returned, if it is pairs."""
    if not isinstance(out, Iterable) or isinstance(out, str | bytes | dict):
        raise TaskError(
            f"combiner must return (key, value) pairs or None, and gave {shown(out)} ({place_of(combine)})"
        )
    for pair in out:
        if not is_pair(pair):
            raise NotAPair(pair).of("combiner", combine)
        yield pair


def _weight(keys: Sequence[Any], values: Sequence[Any]) -> float:
    """Bytes that one of the pairs takes."""
    step = len(keys) // SAMPLE + 1
    return PAIR_BYTES + REFERENCE_BYTES + average_bytes(keys[::step]) + average_bytes(values[::step])


def _slice_size(weight: float, most: int = SLICE_PAIRS) -> int:
    return min(max(int(_SLICE_BYTES / weight), SAMPLE), most)
