"""The pairs that a reduce iterates over, and ``kvgroup``, which knows when they are grouped already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, groupby, repeat
from operator import itemgetter
from typing import Any, NoReturn

from disco_rq.errors import TaskError
from disco_rq.records import PairBatch
from disco_rq.records.pairs import shown
from disco_rq.shuffle.sortorder import plain_kind, same_key

__all__ = ["GroupValues", "RecordStream", "kvgroup", "pairs_of"]


def pairs_of(batch: PairBatch) -> Iterator[tuple[Any, Any]]:
    """The pairs of a batch, at the speed of C."""
    if batch.grouped:
        return chain.from_iterable(map(zip, map(repeat, batch.keys), batch.values))
    return zip(batch.keys, batch.values, strict=True)


_first, _second = itemgetter(0), itemgetter(1)
_Group = tuple[Any, Iterable[Any]]
"""A key and its values, not yet handed out."""


class RecordStream(Iterator[tuple[Any, Any]]):
    """Batches as one iterator of ``(key, value)``; ``groups()`` instead streams what is grouped as it is.

    ``is_sorted``: each key comes once; ``has_sorted_values``: its values ascend, too.
    ``key`` is, while ``grouping``, the key that ``groups()`` gave out last, for errors;
    ``passed(n)`` is told how many pairs came by.
    """

    def __init__(
        self,
        batches: Iterable[PairBatch],
        *,
        is_sorted: bool,
        has_sorted_values: bool = False,
        passed: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.is_sorted = is_sorted
        self.has_sorted_values = has_sorted_values
        self._batches = iter(batches)
        self._passed = passed
        self._pairs = chain.from_iterable(map(self._opened, self._batches))
        self._untouched = True
        self.key: Any = None
        self.grouping = False

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._pairs  # a for loop then runs without a call of ours for each pair

    def __next__(self) -> tuple[Any, Any]:
        return next(self._pairs)

    def groups(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        """``(key, iterator of values)`` for each run of equal keys, without regrouping what is grouped."""
        # When somebody has read pairs already, go on from the next one.
        groups = self._grouped_batches() if self._untouched else _adjacent(self._pairs)
        self.grouping = True
        for self.key, values in groups:
            group = GroupValues(values)
            yield self.key, group
            group.key, group.__class__ = self.key, _LeftBehind
        self.grouping = False

    def batches(self) -> Iterator[PairBatch] | None:
        """All that there is, as it came; None if somebody has read of it already."""
        return map(self._counted, self._batches) if self._untouched else None

    def _counted(self, batch: PairBatch) -> PairBatch:
        self._count(batch)
        return batch

    def _opened(self, batch: PairBatch) -> Iterator[tuple[Any, Any]]:
        self._untouched = False
        self._count(batch)
        return pairs_of(batch)

    def _count(self, batch: PairBatch) -> None:
        self._passed(sum(map(len, batch.values)) if batch.grouped else len(batch.keys))

    def _grouped_batches(self) -> Iterator[_Group]:
        """A group may go on in the next batches: its values come from there as they are asked for."""
        batches = _LookAhead(self._batches, self._count)
        while (batch := batches.take()) is not None:
            if not batch.keys:
                continue
            start = _last_group(batch.keys)
            key = batch.keys[-1]
            if batch.grouped:
                yield from zip(batch.keys[:start], batch.values, strict=False)
                last: Iterable[Any] = chain.from_iterable(batch.values[start:])
            else:
                adjacent = _adjacent_plain if plain_kind(batch.keys) else _adjacent
                yield from adjacent(zip(batch.keys[:start], batch.values, strict=False))
                last = batch.values[start:]
            rest = batches.values_of(key)
            yield key, chain(last, rest)
            for _ in rest:  # what the reduce has left of this group
                pass


class _LookAhead:
    """Batches, of which the next may be asked for the rest of a group."""

    def __init__(self, batches: Iterator[PairBatch], count: Callable[[PairBatch], None]) -> None:
        self._batches = batches
        self._count = count
        self._waiting: PairBatch | None = None

    def take(self) -> PairBatch | None:
        batch, self._waiting = self._waiting, None
        if batch is None and (batch := next(self._batches, None)) is not None:
            self._count(batch)
        return batch

    def values_of(self, key: Any) -> Iterator[Any]:
        """The values of ``key`` at the start of the next batches, taken out of them."""
        while (batch := self.take()) is not None:
            end = 0
            while end < len(batch.keys) and same_key(batch.keys[end], key):
                end += 1
            values = batch.values[:end]
            self._waiting = PairBatch(batch.keys[end:], batch.values[end:], batch.grouped) if end else batch
            yield from chain.from_iterable(values) if batch.grouped else values
            if self._waiting.keys:
                return
            self._waiting = None


def _last_group(keys: list[Any]) -> int:
    """Where the last run of equal keys starts."""
    start = len(keys) - 1
    while start and same_key(keys[start - 1], keys[-1]):
        start -= 1
    return start


class GroupValues(chain[Any]):
    """The values of one group, which can be read until the next group is asked for.

    An iterator of C: most jobs have many groups and few values in each. One that is left becomes
    ``_LeftBehind``, so that whoever still reads it gets an error at the next value.
    """

    __slots__ = ("key",)
    key: Any


class _LeftBehind(GroupValues):
    __slots__ = ()

    def __iter__(self) -> NoReturn:
        raise TaskError(
            f"the values of the key {shown(self.key)} were left behind: kvgroup has gone on to the next "
            "group. Read them before that, or keep list(values)"
        )

    __next__ = __iter__


def _adjacent_plain(pairs: Iterable[tuple[Any, Any]]) -> Iterator[_Group]:
    """Groups of pairs whose keys are the same where Python says that they are equal."""
    return ((key, map(_second, some)) for key, some in groupby(pairs, _first))


def _adjacent(pairs: Iterable[tuple[Any, Any]]) -> Iterator[_Group]:
    """Groups of pairs of which nothing is known. None is asked for before the one ahead of it was used."""
    pairs = iter(pairs)
    waiting = next(pairs, None)

    def values_of(key: Any) -> Iterator[Any]:
        nonlocal waiting
        while waiting is not None and same_key(waiting[0], key):
            yield waiting[1]
            waiting = next(pairs, None)

    while waiting is not None:
        key = waiting[0]
        rest = values_of(key)
        yield key, rest
        for _ in rest:
            pass


def _handed_out(groups: Iterator[_Group]) -> Iterator[tuple[Any, Iterator[Any]]]:
    for key, values in groups:
        group = GroupValues(values)
        yield key, group
        group.key, group.__class__ = key, _LeftBehind


def kvgroup(iter: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Iterator[Any]]]:
    """Group consecutive pairs with equal keys: yields ``(key, iterator of values)``.

    For a job with ``sort=True`` each key comes once, and what is grouped already is not grouped again. Any
    other iterable of pairs, sorted by key, will do. Values may be left unread. With the next group they are
    gone, and raise when they are read then.
    """
    return iter.groups() if isinstance(iter, RecordStream) else _handed_out(_adjacent(iter))
