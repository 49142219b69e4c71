"""A total order over keys of all types, and the fast ways to sort by it.

None < numbers (NaN last) < str (by code point) < bytes < naive datetimes < aware datetimes < tuples < lists
< sets < dicts. Where Python itself compares two keys of one kind, the order is Python's.
"""

from __future__ import annotations

import operator
from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

__all__ = ["count_up_to", "least", "plain_kind", "sort_key", "sorted_keys", "sorted_pairs"]

_NUMBERS = {bool, int, float}
_SEQUENCES = {tuple, list}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - naive like the datetimes that are measured from it
_MICROSECOND = timedelta(microseconds=1)


def sort_key(key: Any) -> tuple[Any, ...]:
    """Compares with every other sort key; equal for keys that are equal, and for NaN with NaN."""
    kind = type(key)
    if key is None:
        return (0,)
    if kind is int or kind is float or kind is bool:
        return (1, key) if key == key else (2,)
    if kind is str:
        return (3, key)
    if kind is bytes:
        return (4, key)
    if kind is datetime:
        offset = key.replace(fold=0).utcoffset()  # within a zone, Python's == does not look at fold
        naive = (key.replace(tzinfo=None) - _EPOCH) // _MICROSECOND
        return (5, naive) if offset is None else (6, naive - offset // _MICROSECOND)
    if kind is tuple:
        return (7, tuple(map(sort_key, key)))
    if kind is list:
        return (8, tuple(map(sort_key, key)))
    if kind is set or kind is frozenset:
        return (9, tuple(sorted(map(sort_key, key))))
    if kind is dict:
        return (10, tuple(sorted((sort_key(name), sort_key(value)) for name, value in key.items())))
    return (11, kind.__module__, kind.__qualname__)


def plain_kind(keys: Sequence[Any]) -> str | None:
    """A name for keys among which Python's ``<`` is this order; keys of one name compare with each other.

    None when that is not so, or not known.
    """
    kinds = set(map(type, keys))
    if len(kinds) == 1:
        (kind,) = kinds
        if kind is str or kind is bytes:
            return str(kind.__name__)
        if kind is tuple:
            return _plain_tuples(keys)
    if kinds <= _NUMBERS:
        return "number" if float not in kinds or not _any_nan(keys) else None
    return None


def _plain_tuples(keys: Sequence[Any]) -> str | None:
    """Tuples of one length with, place by place, plain kinds of their own."""
    lengths = set(map(len, keys))
    if len(lengths) != 1 or lengths == {0}:
        return None
    kinds = [plain_kind(list(map(itemgetter(place), keys))) for place in range(lengths.pop())]
    if None in kinds:
        return None
    return f"({' '.join(map(str, kinds))})"


def _any_nan(numbers: Sequence[Any]) -> bool:
    return any(map(operator.ne, numbers, numbers))


def sorted_keys(keys: list[Any]) -> list[Any]:
    """``keys`` in order (the list itself may be sorted in place)."""
    if plain_kind(keys):
        keys.sort()
    else:
        keys.sort(key=sort_key)
    return keys


def sorted_pairs(pairs: list[Any]) -> tuple[list[Any], list[Any]]:
    """Keys and values of ``pairs`` (which is sorted in place) by key; equal keys stay in their order."""
    if plain_kind([key for key, _ in pairs]):
        pairs.sort(key=itemgetter(0))
    else:
        pairs.sort(key=lambda pair: sort_key(pair[0]))
    return list(map(itemgetter(0), pairs)), list(map(itemgetter(1), pairs))


def least(keys: list[Any]) -> Any:
    """The first of ``keys`` in order."""
    return min(keys) if plain_kind(keys) else min(keys, key=sort_key)


def count_up_to(keys: list[Any], kind: str | None, bound: Any) -> int:
    """How many of the sorted ``keys``, of that plain kind, do not come after ``bound``."""
    if kind is not None and kind == plain_kind([bound]):
        return bisect_right(keys, bound)
    return bisect_right(keys, sort_key(bound), key=sort_key)
