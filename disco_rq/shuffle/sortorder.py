"""A total order over keys of all types, and the fast ways to sort by it.

None < numbers (NaN last) < str (by code point) < bytes < naive datetimes < aware datetimes < tuples < lists
< sets < dicts < dates < naive times < aware times < timedeltas < UUIDs. Where Python itself compares two keys
of one kind, the order is Python's. Other keys have no order here: ``RecordTypeError``.
"""

from __future__ import annotations

import operator
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import chain
from operator import attrgetter, itemgetter
from typing import Any
from uuid import UUID

from disco_rq.errors import RecordTypeError
from disco_rq.records.pairs import shown
from disco_rq.records.taken import one_nan, taken

__all__ = [
    "count_places_up_to",
    "count_up_to",
    "groups_by_key",
    "least",
    "marks_of",
    "marks_of_both",
    "picked",
    "places_by",
    "plain_keys",
    "plain_kind",
    "same_key",
    "sort_key",
    "sorted_keys",
]

_NUMBERS = {bool, int, float, Decimal}
_ONE_KIND = {str, bytes, date, timedelta, UUID}
_WITH_NAN = {float, Decimal}
_WITHOUT_DOUBT = {str, bytes, int, bool, type(None)}
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
    if kind is Decimal:
        return (2,) if key.is_nan() else (1, key)
    if kind is tuple:
        return (7, tuple(map(sort_key, key)))
    if kind is list:
        return (8, tuple(map(sort_key, key)))
    if kind is set or kind is frozenset:
        return (9, tuple(sorted(map(sort_key, key))))
    if kind is dict:
        return (10, tuple(sorted((sort_key(name), sort_key(value)) for name, value in key.items())))
    return _later_sort_key(key)


def _later_sort_key(key: Any) -> tuple[Any, ...]:
    kind = type(key)
    if kind is date:
        return (11, key.toordinal())
    if kind is time:
        offset = key.replace(fold=0).utcoffset()
        minutes = key.hour * 60 + key.minute
        naive = (minutes * 60 + key.second) * 1_000_000 + key.microsecond
        return (12, naive) if offset is None else (13, naive - offset // _MICROSECOND)
    if kind is timedelta:
        return (14, key // _MICROSECOND)
    if kind is UUID:
        return (15, key.int)
    raise _without_order(key)


def _without_order(key: Any) -> RecordTypeError:
    return RecordTypeError(
        f"sort knows no order of keys of the type {_type_name(key)}, and this is one: {shown(key)}; give out "
        "a key of a plain type for it (a str, a number, a tuple of these) and the object as the value, or "
        "leave sort away"
    )


def _value_without_order(key: Any, value: Any) -> RecordTypeError:
    culprit = _unordered(value)
    return RecordTypeError(
        f"sort_values knows no order of values of the type {_type_name(culprit)}, and the key {shown(key)} "
        f"has one: {shown(culprit)}; give out values of plain types, or leave sort_values away"
    )


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _unordered(value: Any) -> Any:
    """What in a value has no order: itself, or something that it holds."""
    held = chain(value, value.values()) if type(value) is dict else value
    if type(value) in (dict, tuple, list, set, frozenset):
        for item in held:
            with suppress(RecordTypeError):
                sort_key(item)
                continue
            return _unordered(item)
    return value


def same_key(one: Any, other: Any) -> bool:
    """Whether the two belong into one group: they are equal, one moment in two zones, or NaNs."""
    if one is other:
        return True
    kind = type(one)
    if kind in _WITHOUT_DOUBT and type(other) in _WITHOUT_DOUBT:
        return bool(one == other)
    try:
        return sort_key(one) == sort_key(other)
    except RecordTypeError:  # objects that no sort is asked for: they know it themselves
        return bool(one == other)


def plain_keys(keys: list[Any]) -> list[Any]:
    """``keys`` with what looks different and is the same made the same: scalars of numpy, NaNs."""
    return keys if plain_kind(keys) else [one_nan(taken(key)) for key in keys]


def groups_by_key(groups: Iterable[tuple[Any, list[Any]]]) -> tuple[list[Any], list[list[Any]]]:
    """Keys in order, each once, and all values of each. The lists of values may be changed."""
    together: dict[Any, tuple[Any, list[Any]]] = {}
    for key, values in groups:
        found = together.setdefault(sort_key(key), (key, values))
        if found[1] is not values:
            found[1].extend(values)
    ordered = sorted(together.items(), key=itemgetter(0))
    return [key for _, (key, _) in ordered], [values for _, (_, values) in ordered]


def plain_kind(keys: Sequence[Any]) -> str | None:
    """A name for keys among which Python's ``<`` is this order; keys of one name compare with each other.

    None when that is not so, or not known.
    """
    kinds = set(map(type, keys))
    if len(kinds) == 1:
        (kind,) = kinds
        if kind in _ONE_KIND:
            return str(kind.__name__)
        if kind is datetime:
            return "naive datetime" if set(map(attrgetter("tzinfo"), keys)) == {None} else None
        if kind is tuple:
            return _plain_tuples(keys)
    if kinds <= _NUMBERS:
        return "number" if kinds.isdisjoint(_WITH_NAN) or not _any_nan(keys) else None
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
    if Decimal not in set(map(type, numbers)):
        return any(map(operator.ne, numbers, numbers))
    return any(number.is_nan() if type(number) is Decimal else number != number for number in numbers)


def sorted_keys(keys: list[Any]) -> list[Any]:
    """``keys`` in order (the list itself may be sorted in place)."""
    if plain_kind(keys):
        keys.sort()
    else:
        keys.sort(key=sort_key)
    return keys


def marks_of(keys: list[Any], values: list[Any]) -> Sequence[Any]:  # noqa: ARG001
    """What Python sorts the pairs by, one for each: the keys themselves where that is the order."""
    return keys if plain_kind(keys) else list(map(sort_key, keys))


def marks_of_both(keys: list[Any], values: list[Any]) -> Sequence[Any]:
    """The same by key, and by value where keys are equal."""
    pairs = list(zip(keys, values, strict=True))
    return pairs if plain_kind(pairs) else list(map(_key_of_both, pairs))


def places_by(marks: Sequence[Any]) -> list[int]:
    """Where the pairs are in their order; equal ones stay as they were."""
    # Numbers are sorted, not pairs: millions of tuples would keep the collector of circles busy.
    return sorted(range(len(marks)), key=marks.__getitem__)


def picked(column: list[Any], places: list[int]) -> list[Any]:
    """What is at the places."""
    if len(places) < 2:
        return [column[place] for place in places]
    return list(itemgetter(*places)(column))  # half the time of a ``map``


def _key_of_both(pair: tuple[Any, Any]) -> tuple[Any, Any]:
    key, value = pair
    order_of_key = sort_key(key)
    try:
        return order_of_key, sort_key(value)
    except RecordTypeError:
        raise _value_without_order(key, value) from None


def least(keys: list[Any]) -> Any:
    """The first of ``keys`` in order."""
    return min(keys) if plain_kind(keys) else min(keys, key=sort_key)


def count_up_to(keys: Sequence[Any], kind: str | None, bound: Any, *, before: bool = False) -> int:
    """How many of the sorted ``keys``, of that plain kind, do not come after ``bound``; with ``before``: come
    before it.
    """
    return count_places_up_to(range(len(keys)), keys, kind, bound, before=before)


def count_places_up_to(
    places: Sequence[int], keys: Sequence[Any], kind: str | None, bound: Any, *, before: bool = False
) -> int:
    """The same of keys that are sorted by their places."""
    bisect = bisect_left if before else bisect_right
    if kind is not None and kind == plain_kind([bound]):
        return bisect(places, bound, key=keys.__getitem__)
    return bisect(places, sort_key(bound), key=lambda place: sort_key(keys[place]))
