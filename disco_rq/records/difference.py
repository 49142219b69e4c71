"""Where two outputs of a partition differ: the first pair that one has more often than the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any, NamedTuple

from disco_rq.errors import DataError, TaskError
from disco_rq.records.blocks import Block
from disco_rq.records.digest import pair_digests
from disco_rq.records.reading import batches

__all__ = ["OnePair", "first_difference"]

MOST_PAIRS = 1_000_000
"""So many different pairs are held at a time, as numbers. Of more, a part is looked at."""

Blocks = Callable[[], Iterable[Block]]


class OnePair(NamedTuple):
    """A pair that one output has, and the other has less often."""

    key: Any
    value: Any


def first_difference(old: Blocks, new: Blocks) -> OnePair | None:
    """The first such pair; None where there is none, or nobody can tell.

    ``old`` may be readable in part only: what lies there and is not in ``new`` is a difference for all that.
    A user's own bytes have no keys.
    """
    tally = _Tally()
    try:
        is_whole = tally.count(old, 1)
        if not tally.count(new, -1):
            return None
        if (found := tally.first(old, 1)) is not None:
            return found
        return tally.first(new, -1) if is_whole else None
    except TaskError:
        return None


class _Tally:
    """How much more often the one has each pair than the other, by digest."""

    def __init__(self) -> None:
        self._surplus: dict[int, int] = {}
        self._mask = 0  # looked at are the digests that have none of these bits

    def count(self, blocks: Blocks, sign: int) -> bool:
        """Add all the pairs. False: not all of them could be read."""
        surplus = self._surplus
        try:
            for keys, values in _columns(blocks()):
                for digest in pair_digests(keys, values):
                    if digest & self._mask == 0:
                        more = surplus.get(digest, 0) + sign
                        if more:
                            surplus[digest] = more
                        else:
                            del surplus[digest]
                while len(surplus) > MOST_PAIRS:
                    self._mask = self._mask << 1 | 1
                    for digest in [one for one in surplus if one & self._mask]:
                        del surplus[digest]
        except DataError:
            return False
        return True

    def first(self, blocks: Blocks, sign: int) -> OnePair | None:
        """The first pair that there is more of here."""
        try:
            for keys, values in _columns(blocks()):
                for i, digest in enumerate(pair_digests(keys, values)):
                    if self._surplus.get(digest, 0) * sign > 0:
                        return OnePair(keys[i], values[i])
        except DataError:
            pass
        return None


def _columns(blocks: Iterable[Block]) -> Iterator[tuple[list[Any], list[Any]]]:
    """A value for each key, however they were grouped."""
    for batch in batches(blocks, "an output"):
        if batch.grouped:
            keys = list(chain.from_iterable(map(repeat, batch.keys, map(len, batch.values))))
            yield keys, list(chain.from_iterable(batch.values))
        else:
            yield batch.keys, batch.values
