"""Ranges of keys, one for each partition: ``partition=func.total_order``."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby, repeat
from operator import itemgetter
from typing import Any

from disco_rq.errors import DiscoError, RecordTypeError
from disco_rq.records.taken import taken
from disco_rq.records.typed import pack_columns, unpack_columns
from disco_rq.shuffle.sortorder import count_places_up_to, plain_keys, plain_kind, sort_key

__all__ = ["Ranges", "ranges_of", "total_order"]

_PACKED_BYTES = 1 << 20
"""Ranges lie in Redis, and every map reads them: of huge keys there are fewer."""
_STEPS = 50


def total_order(key: Any, nr_reduces: int, params: Any = None) -> int:  # noqa: ARG001 - Disco's signature
    """``partition=func.total_order``: reduce 0 gets the least keys, the next one those above, and so on.

    The job's results, one after the other, are then in the order of the keys. The ranges are made from a
    sample of the keys, so that the reduces have about equally much to do; equal keys stay together.
    """
    raise DiscoError(
        "func.total_order is given to a job, partition=func.total_order, and not called: "
        "which keys a partition has is known when the job has looked at some of them"
    )


class Ranges:
    """A partition function. Partition i has the keys above bound i - 1, up to bound i with it."""

    def __init__(self, bounds: Sequence[Any]) -> None:
        """``bounds`` ascend; the last range has none. Raises ``RecordTypeError`` for keys without order."""
        self._bounds = list(bounds)
        self._kind = plain_kind(self._bounds) if bounds else None
        self._order = list(map(sort_key, self._bounds))

    def __call__(self, key: Any, nr_reduces: int, params: Any = None) -> int:  # noqa: ARG002
        return bisect_left(self._order, sort_key(taken(key)))

    def many(self, keys: Sequence[Any], nr_reduces: int) -> list[int]:  # noqa: ARG002
        """The partition of each key. Raises ``RecordTypeError`` for one that has no order."""
        if self._kind is not None and self._kind == plain_kind(keys):
            return list(map(bisect_left, repeat(self._bounds), keys))
        return [bisect_left(self._order, sort_key(taken(key))) for key in keys]

    def ends(self, keys: Sequence[Any], places: Sequence[int], nr_reduces: int) -> list[int]:  # noqa: ARG002
        """Where the share of each partition that has a bound ends among keys that are sorted by places."""
        kind = plain_kind(keys)
        return [count_places_up_to(places, keys, kind, bound) for bound in self._bounds]

    def pack(self) -> bytes:
        """As ``unpack`` takes it."""
        bounds = self._bounds
        while len(packed := pack_columns(bounds, [None] * len(bounds), grouped=False)) > _PACKED_BYTES:
            bounds = bounds[1::2]
        return packed

    @classmethod
    def unpack(cls, packed: bytes) -> Ranges:
        return cls(unpack_columns(packed, grouped=False)[0])


def ranges_of(sample: Iterable[tuple[Any, float]], nr_partitions: int) -> Ranges:
    """Ranges such that the heaviest is as light as can be. ``sample``: keys, and what each one weighs.

    Keys that have no order are left out: the map that gives one out says so.
    """
    weighed = []
    for key, weight in sample:
        with suppress(RecordTypeError):
            (plain,) = plain_keys([key])
            weighed.append((sort_key(plain), weight, plain))
    weighed.sort(key=itemgetter(0))
    keys, weights = [], []
    for _, equal in groupby(weighed, itemgetter(0)):
        some = list(equal)
        keys.append(some[0][2])
        weights.append(sum(weight for _, weight, _ in some))
    if not keys:
        return Ranges([])
    least, most = max(*weights, sum(weights) / nr_partitions), sum(weights)
    for _ in range(_STEPS):
        middle = (least + most) / 2
        if len(_ends(weights, middle)) < nr_partitions:
            most = middle
        else:
            least = middle
    return Ranges([keys[end] for end in _ends(weights, most)])


def _ends(weights: Sequence[float], most: float) -> list[int]:
    """Where each range but the last ends, if none may weigh more than ``most``."""
    ends, total = [], 0.0
    for i, weight in enumerate(weights):
        if total and total + weight > most:
            ends.append(i - 1)
            total = 0.0
        total += weight
    return ends
