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
    sorted_keys,
)

__all__ = ["merged", "merged_both"]


def merged(runs: Sequence[Iterable[PairBatch]]) -> Iterator[PairBatch]:
    """One sorted row of batches from sorted ones; a key may go on in the next batch.

    Values of equal keys come in the order of the runs as far as they are in one batch.
    """
    heads = [head for head in map(_Head, map(iter, runs)) if head.fill()]
    while len(heads) > 1:
        bound = least([head.last for head in heads])
        pieces = [piece for head in heads if (piece := head.take(bound)).keys]
        yield pieces[0] if len(pieces) == 1 else _together(pieces)
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
        self._batch = PairBatch([], [], False)
        self._start = 0
        self._kind: str | None = None

    @property
    def last(self) -> Any:
        return self._batch.keys[-1]

    def fill(self) -> bool:
        """Have something in memory. False: the run has ended."""
        while self._start >= len(self._batch.keys):
            batch = next(self._batches, None)
            if batch is None:
                return False
            self._batch, self._start = batch, 0
            self._kind = plain_kind(batch.keys)
        return True

    def take(self, bound: Any) -> PairBatch:
        """What does not come after ``bound``."""
        keys, values, grouped, kinds = self._batch
        start, self._start = self._start, max(self._start, count_up_to(keys, self._kind, bound))
        return PairBatch(keys[start : self._start], values[start : self._start], grouped, kinds)

    def rest(self) -> Iterator[PairBatch]:
        yield PairBatch(
            self._batch.keys[self._start :], self._batch.values[self._start :], self._batch.grouped
        )
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
