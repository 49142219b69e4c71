"""The pairs that a reduce iterates over, and ``kvgroup``, which knows when they are grouped already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain, groupby, repeat
from operator import itemgetter
from typing import Any, NoReturn, cast

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

    Whoever reads goes on with what nobody has read, be it pair by pair or in groups.
    ``is_sorted``: each key comes once; ``has_sorted_values``: its values ascend, too.
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
        self._pairs = cast(_Pairs, _Pairs.from_iterable(map(self._opened, self._batches)))
        self._pairs.stream = self
        self._untouched = True
        self._flow: Iterator[_Group] | None = None  # once somebody groups: all that comes goes through it
        self._at: GroupValues | None = None  # the group of the flow that is being read

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        return self._pairs  # a for loop then runs without a call of ours for each pair

    def __next__(self) -> tuple[Any, Any]:
        return next(self._pairs)

    @property
    def grouping(self) -> bool:
        """Whether it is within a group: that of ``key``."""
        return self._at is not None

    @property
    def key(self) -> Any:
        """The key that ``groups()`` gave out last, for errors."""
        return None if self._at is None else self._at.key

    def groups(self) -> Iterator[tuple[Any, Iterator[Any]]]:
        """``(key, iterator of values)`` for each run of equal keys, without regrouping what is grouped."""
        flow = self._flowing()
        yield from self._left_over(None)
        for key, values in flow:
            group = self._at = GroupValues(values)
            group.key = key
            yield key, group
            if self._at is group:
                group.__class__ = _LeftBehind
            else:
                yield from self._left_over(group)
        self._at = None

    def _flowing(self) -> Iterator[_Group]:
        if self._flow is None:
            # When somebody has read pairs already, go on from the next one.
            self._flow = self._grouped_batches() if self._untouched else _adjacent(_rest(self._pairs))
            self._pairs.__class__ = _PairsOfGroups
        return self._flow

    def _left_over(self, mine: GroupValues | None) -> Iterator[tuple[Any, Iterator[Any]]]:
        """What another reader has not read of the group that it is at; ``mine`` is left behind."""
        while (at := self._at) is not None:
            if mine is not None and mine.whole is at.whole:
                at.__class__ = _LeftBehind
                return
            rest = _rest(at)
            try:
                first = next(rest)
            except StopIteration:
                return
            mine = self._at = GroupValues((first,), rest)
            mine.key, mine.part_of = at.key, at.whole
            at.__class__ = _LeftBehind
            yield mine.key, mine

    def next_of_groups(self) -> tuple[Any, Any]:
        """The next pair, when somebody has grouped."""
        flow = self._flowing()
        while True:
            if (at := self._at) is not None:
                for value in _rest(at):
                    return at.key, value
            key, values = next(flow)
            self._at = GroupValues(values)
            self._at.key = key

    def batches(self) -> Iterator[PairBatch] | None:
        """All that there is, as it came; None if somebody has read of it already."""
        return map(self._counted, self._batches) if self._untouched and self._flow is None else None

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


class _Pairs(chain[tuple[Any, Any]]):
    """The pairs of a stream, at the speed of C."""

    __slots__ = ("stream",)
    stream: RecordStream


class _PairsOfGroups(_Pairs):
    """What ``_Pairs`` become when somebody groups, so that a loop over them takes part in that."""

    __slots__ = ()

    def __next__(self) -> tuple[Any, Any]:
        return self.stream.next_of_groups()


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

    __slots__ = ("key", "part_of")
    named = "kvgroup's values"
    """What an error calls it."""
    key: Any
    part_of: GroupValues  # of what one reader has left to another

    @property
    def whole(self) -> GroupValues:
        """The group as it came."""
        return getattr(self, "part_of", self)

    def __reduce__(self) -> NoReturn:
        """A result would hold an iterator, which is empty after a look at it."""
        raise TypeError(f"{self.named} cannot be pickled: they are read once; give out list(values)")


class _LeftBehind(GroupValues):
    __slots__ = ()

    def __iter__(self) -> NoReturn:
        raise TaskError(
            f"the values of the key {shown(self.key)} were left behind: kvgroup has gone on to the next "
            "group, or was called again. Read them before that, or keep list(values)"
        )

    __next__ = __iter__


_END = object()


def _rest(of: chain[Any]) -> Iterator[Any]:
    """What is left in it, whatever it has become since."""
    return iter(partial(chain.__next__, of), _END)


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

    Called again for the pairs of a reduce, it goes on with what was not read. So does a loop over the pairs.
    An iterator of your own has by then lost the pair that showed where a group ends.
    """
    if isinstance(iter, _Pairs):
        iter = iter.stream
    return iter.groups() if isinstance(iter, RecordStream) else _handed_out(_adjacent(iter))
