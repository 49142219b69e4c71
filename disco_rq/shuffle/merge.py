"""Merging sorted runs, a block of each in memory: not pair by pair, but as far as all the blocks reach.

Every run's current block ends with some key. Up to the least of these keys, all there is is in memory: that
much is taken from each block, put together and sorted, which for sorted pieces is hardly more than comparing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

from disco_rq.records import PairBatch
from disco_rq.shuffle.grouping import pairs_of
from disco_rq.shuffle.sortorder import (
    count_up_to,
    groups_by_key,
    least,
    marks_of,
    picked,
    places_by,
    plain_kind,
    same_key,
    sorted_keys,
)

__all__ = ["merged", "merged_both"]


def merged(runs: Sequence[Iterable[PairBatch]]) -> Iterator[PairBatch]:
    """One sorted row of batches from sorted ones; a key may go on in the next batch.

    Values of equal keys come in the order of the runs, and of each run in its own.
    """
    heads = [head for head in map(_Head, map(iter, runs)) if head.fill()]
    while len(heads) > 1:
        bound = least([head.last for head in heads])
        # A run that has more of the bound in its next block: what later runs have of it must wait.
        stop = next((i for i, head in enumerate(heads[:-1], 1) if head.goes_on_with(bound)), len(heads))
        taken = [head.take(bound) for head in heads[:stop]]
        taken += [head.take(bound, before=True) for head in heads[stop:]]
        pieces = [piece for piece in taken if piece.keys]
        yield pieces[0] if len(pieces) == 1 else _together(pieces)
        if stop < len(heads):
            for head in heads[stop - 1 :]:
                yield from head.all_of(bound)
        heads = [head for head in heads if head.fill()]
    for head in heads:
        yield from head.rest()


def merged_both(runs: Sequence[Iterable[PairBatch]]) -> Iterator[PairBatch]:
    """The same of runs that are sorted by key and value: the values of each key are in order, too."""
    for batch in merged([map(_pairs_as_keys, run) for run in runs]):
        yield PairBatch([key for key, _ in batch.keys], [value for _, value in batch.keys], False)


def _pairs_as_keys(batch: PairBatch) -> PairBatch:
    return PairBatch(list(pairs_of(batch)), [None] * len(batch.keys), False)


class _Head:
    """One run: its current block, and how much of it is taken."""

    def __init__(self, batches: Iterator[PairBatch]) -> None:
        self._batches = batches
        self._next: PairBatch | None = None  # read ahead
        self._batch = PairBatch([], [], False)
        self._start = 0
        self._kind: str | None = None

    @property
    def last(self) -> Any:
        return self._batch.keys[-1]

    def fill(self) -> bool:
        """Have something in memory. False: the run has ended."""
        if self._start < len(self._batch.keys):
            return True
        if not self._read_ahead():
            return False
        assert self._next is not None
        self._batch, self._start, self._next = self._next, 0, None
        self._kind = plain_kind(self._batch.keys)
        return True

    def _read_ahead(self) -> bool:
        """Have the next block that holds something. False: there is none."""
        while self._next is None or not self._next.keys:
            self._next = next(self._batches, None)
            if self._next is None:
                return False
        return True

    def goes_on_with(self, bound: Any) -> bool:
        """Whether the block ends with ``bound``, and the next one begins with it."""
        if not same_key(self.last, bound) or not self._read_ahead():
            return False
        assert self._next is not None
        return same_key(self._next.keys[0], bound)

    def take(self, bound: Any, *, before: bool = False) -> PairBatch:
        """What does not come after ``bound``; with ``before`` what comes before it."""
        keys, values, grouped, kinds = self._batch
        end = count_up_to(keys, self._kind, bound, before=before)
        start, self._start = self._start, max(self._start, end)
        return PairBatch(keys[start : self._start], values[start : self._start], grouped, kinds)

    def all_of(self, bound: Any) -> Iterator[PairBatch]:
        """What there is of ``bound``, which comes first, in this block and the next ones."""
        while self.fill() and (piece := self.take(bound)).keys:
            yield piece

    def rest(self) -> Iterator[PairBatch]:
        yield PairBatch(
            self._batch.keys[self._start :], self._batch.values[self._start :], self._batch.grouped
        )
        if self._next is not None:
            yield self._next
        yield from self._batches


def _together(pieces: list[PairBatch]) -> PairBatch:
    if not any(piece.grouped for piece in pieces):
        keys = list(chain.from_iterable(piece.keys for piece in pieces))
        values = list(chain.from_iterable(piece.values for piece in pieces))
        places = places_by(marks_of(keys, values))
        return PairBatch(picked(keys, places), picked(values, places), False)
    if not all(plain_kind(piece.keys) for piece in pieces):
        return PairBatch(*groups_by_key(chain.from_iterable(map(_groups_of, pieces))), True)
    groups: dict[Any, list[Any]] = {}
    find = groups.get
    for piece in pieces:
        for key, values in _groups_of(piece):
            group = find(key)
            groups[key] = values if group is None else group + values
    keys = sorted_keys(list(groups))
    return PairBatch(keys, list(map(groups.__getitem__, keys)), True)


def _groups_of(piece: PairBatch) -> Iterator[tuple[Any, list[Any]]]:
    values = piece.values if piece.grouped else ([value] for value in piece.values)
    return zip(piece.keys, values, strict=True)
