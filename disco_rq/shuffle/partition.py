"""Which reduce gets a key."""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, repeat, starmap
from math import ceil, inf
from numbers import Number, Rational
from operator import length_hint
from typing import Any
from zlib import crc32

from disco_rq.errors import DiscoError, OOBKeyExists, PartitionError
from disco_rq.records.pairs import shown
from disco_rq.records.taken import PLAIN, taken
from disco_rq.shuffle.ranges import Ranges
from disco_rq.shuffle.sortorder import places_by, plain_kind, sort_key

__all__ = [
    "EqualRanges",
    "Partitioner",
    "default_partition",
    "equal_number",
    "make_range_partition",
    "without_zeros",
]

_MIX = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: neighbouring ints spread over all partitions
_MASK = (1 << 64) - 1
_KEYS_OF_PARTITION = 16
"""Of fewer in sorted keys it takes as long to find where the share of a partition ends."""
_CONFIRMED_KEYS = 32
"""About so many keys of each source does a reduce ask about again."""
_INT_MODULUS = (1 << 61) - 1
"""Ints that are told apart by a digest."""
_EXACT_FLOATS = 1 << 53
"""From here on floats are whole numbers, and not all of these."""
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def default_partition(key: Any, nr_reduces: int, params: Any = None) -> int:  # noqa: ARG001 - Disco's signature
    """The partition of ``key``: the same in every process, on every host and Python version.

    Keys that compare equal (1, 1.0 and True; one moment in two time zones) get the same.
    """
    return _digest(key) % nr_reduces


def _digest(key: Any) -> int:
    kind = type(key)
    if kind is str:
        return crc32(key.encode("utf-8", "surrogatepass"))
    if kind is int or kind is bool:
        return (int(key) % _INT_MODULUS * _MIX & _MASK) >> 32
    if kind is float:
        if key.is_integer():
            return _digest(int(key))
        return crc32(struct.pack("<d", key)) if key == key else 0
    if kind is bytes:
        return crc32(key, 1)
    if kind is tuple or kind is list:
        state = len(key) + (1 if kind is tuple else 2) * 0x10001
        for item in key:
            state = (state ^ _digest(item)) * _MIX + 1 & _MASK
        return state >> 32
    if kind is set or kind is frozenset:
        return sum(map(_digest, key)) * _MIX >> 32 & 0xFFFFFFFF
    if kind is dict:
        return sum(_digest((name, value)) for name, value in key.items()) * _MIX >> 32 & 0xFFFFFFFF
    if kind is Decimal:
        return _digest(equal_number(key))
    if kind in PLAIN and key is not None:
        return _digest(sort_key(key))
    return _digest_of_object(key)


def equal_number(key: Decimal) -> int | float | tuple[int, ...]:
    """The int or float that is equal to it; numbers of its own where there is none."""
    if not key.is_finite():
        return float("nan") if key.is_nan() else float(key)
    if key.is_zero():
        return 0
    plain = without_zeros(key)
    exponent = plain.as_tuple().exponent
    assert isinstance(exponent, int)
    number = int(plain.scaleb(-exponent, _EXACT))
    if exponent >= 0:  # an int, of which only the rest counts: it may have a million digits
        return number * pow(10, exponent, _INT_MODULUS) % _INT_MODULUS
    return float(key) if float(key) == key else (number, exponent)


def without_zeros(number: Decimal) -> Decimal:
    """The equal one with no zeros at its end but by its exponent."""
    return number.normalize(_EXACT)


def _digest_of_object(key: Any) -> int:
    """What only a reader or writer of the job's own holds. It may be equal to a value of a plain type."""
    plain = taken(key)
    if plain is not key:
        return _digest(plain)
    for base, value_of in _BASES.items():
        if isinstance(key, base):
            try:
                return _digest(value_of(key))
            except (ValueError, TypeError, OverflowError):  # such as NaT, a datetime without a year
                break
    return 3  # None, and objects of which nothing is known


def _equal_fraction(key: Rational) -> Any:
    """The int, float or Decimal that is equal to it; its two numbers where there is none."""
    number, whole = int(key.numerator), int(key.denominator)
    rest = whole
    powers = [0, 0]
    for place, prime in enumerate((2, 5)):
        while rest % prime == 0:
            rest //= prime
            powers[place] += 1
    if rest != 1:
        return number, whole
    digits = max(powers)
    return Decimal(number * 10**digits // whole).scaleb(-digits, _EXACT)


def _naive_or_aware(key: datetime) -> datetime:
    day, clock = date(key.year, key.month, key.day), time(key.hour, key.minute, key.second, key.microsecond)
    return datetime.combine(day, clock, key.tzinfo)


_BASES: dict[type, Callable[[Any], Any]] = {
    str: lambda key: "".join((key,)),  # str() may give the name of an Enum
    bytes: lambda key: b"".join((key,)),
    **{base: base for base in (int, float, tuple, list, frozenset, set, dict, Decimal)},
    Rational: _equal_fraction,
    complex: lambda key: key.real if key.imag == 0 else (key.real, key.imag),
    datetime: _naive_or_aware,
    date: lambda key: date(key.year, key.month, key.day),
    timedelta: lambda key: timedelta(key.days, key.seconds, key.microseconds),
}


def make_range_partition(min_val: float, max_val: float) -> EqualRanges:
    """A partition function that cuts ``[min_val, max_val]`` into equal ranges, in ascending order.

    The results of the partitions, one after the other, are then in the order of the keys. Keys are numbers of
    any kind, or what ``int`` makes one of; a key outside the range ends the job with a ``PartitionError``.
    """
    if not min_val < max_val:
        raise ValueError(f"make_range_partition: min_val {min_val!r} is not less than max_val {max_val!r}")
    if inf in (-min_val, max_val):
        raise ValueError(
            f"make_range_partition: [{min_val!r}, {max_val!r}] has no equal ranges: it has no end"
        )
    return EqualRanges(taken(min_val), taken(max_val))


@dataclass(frozen=True, slots=True)
class EqualRanges:
    """What ``make_range_partition`` makes."""

    min_val: float
    max_val: float

    def __call__(self, key: Any, nr_reduces: int, params: Any = None) -> int:  # noqa: ARG002
        number = taken(key)
        if not isinstance(number, Number):
            number = int(number)
        if number != number or not self.min_val <= number <= self.max_val:
            return -1
        return bisect_right(self._starts(nr_reduces), number)

    def many(self, keys: Sequence[Any], nr_reduces: int) -> list[int] | None:
        """The partition of each key. None: ask about each."""
        if plain_kind(keys) != "number" or not self.min_val <= min(keys) <= max(keys) <= self.max_val:
            return None
        starts = self._starts(nr_reduces, are_whole=set(map(type, keys)) == {int})
        return list(map(bisect_right, repeat(starts), keys))

    def ends(self, keys: Sequence[Any], places: Sequence[int], nr_reduces: int) -> list[int] | None:
        """Where the share of each partition but the last ends among keys that are sorted by places. None: ask
        about each key.
        """
        if plain_kind(keys) != "number":
            return None
        if not self.min_val <= keys[places[0]] <= keys[places[-1]] <= self.max_val:
            return None
        return [bisect_left(places, start, key=keys.__getitem__) for start in self._starts(nr_reduces)]

    def _starts(self, nr_reduces: int, *, are_whole: bool = False) -> list[float]:
        return _starts_of_ranges(self.min_val, self.max_val, nr_reduces, are_whole)


@lru_cache
def _starts_of_ranges(min_val: float, max_val: float, nr_reduces: int, are_whole: bool) -> list[float]:
    """The least number of each range but the first; ``are_whole``: the least whole one, compared faster.

    Keys are compared with them and not reckoned with: so numbers of all kinds come in one order, and equal
    ones into one range, whatever a division rounds.
    """
    if are_whole:
        return list(map(ceil, _starts_of_ranges(min_val, max_val, nr_reduces, are_whole=False)))
    least, width = Fraction(min_val), Fraction(max_val) - Fraction(min_val)
    starts = (least + width * i / nr_reduces for i in range(1, nr_reduces))
    return [float(start) if abs(start) < _EXACT_FLOATS else ceil(start) for start in starts]


_OURS = (Ranges, EqualRanges)
"""They know more than the partition of one key."""


class Partitioner:
    """Partitions of many keys at a time, by the job's own function or the default."""

    def __init__(
        self,
        function: Callable[..., int] | None,
        nr_partitions: int,
        params: Any,
        *,
        has_digests: bool | None = None,
    ) -> None:
        """``has_digests``: whether it is told what each partition holds; None: where there are several."""
        self.has_digests = nr_partitions > 1 if has_digests is None else has_digests
        self.is_trivial = nr_partitions <= 1 and (function is None or function is default_partition)
        """All keys go to partition 0, without asking."""
        self.is_default = function is None or function is default_partition
        self.nr_partitions = max(nr_partitions, 1)
        self.is_own = not self.is_default and not isinstance(function, _OURS)
        """The job's own function: it may look at the params."""
        self.params = params
        """Those that the function gets; they may change between two calls."""
        self._function = function

    def one(self, key: Any) -> int:
        """The partition of a key. Raises as ``many``."""
        return 0 if self.is_trivial else self.many((key,))[0]

    def many(self, keys: Sequence[Any]) -> list[int]:
        """The partition of each key. Raises ``PartitionError`` naming the first key with a wrong answer."""
        nr_partitions = self.nr_partitions
        if self.is_default:
            if nr_partitions == 1:
                return [0] * len(keys)
            if set(map(type, keys)) == {str}:
                try:
                    return [digest % nr_partitions for digest in map(crc32, map(str.encode, keys))]
                except UnicodeEncodeError:
                    pass  # lone surrogates
            return [_digest(key) % nr_partitions for key in keys]
        found = self._function.many(keys, nr_partitions) if isinstance(self._function, _OURS) else None
        return self._asked(keys) if found is None else found

    def split(self, keys: list[Any]) -> Iterator[tuple[int, list[Any]]]:
        """Each partition that has any of the keys, with these, in the order that they have.

        Raises as ``many``.
        """
        if self.is_trivial:
            yield 0, keys
            return
        parts: list[list[Any]] = [[] for _ in range(self.nr_partitions)]
        for key, partition in zip(keys, self.many(keys), strict=True):
            parts[partition].append(key)
        yield from ((partition, some) for partition, some in enumerate(parts) if some)

    def shares(self, keys: Sequence[Any], marks: Sequence[Any]) -> Iterator[tuple[int, list[int]]]:
        """Each partition that has any of the keys, with their places in the order of the marks, one a key.

        Raises as ``many``.
        """
        function, nr_partitions = self._function, self.nr_partitions
        if self.is_trivial:
            yield 0, places_by(marks)
            return
        if isinstance(function, _OURS) and len(keys) >= _KEYS_OF_PARTITION * nr_partitions:
            places = places_by(marks)
            if (ends := function.ends(keys, places, nr_partitions)) is not None:
                shares = enumerate(starmap(slice, pairwise([0, *ends, len(places)])))
                yield from ((i, places[share]) for i, share in shares if share.start < share.stop)
                return
        parts: list[list[int]] = [[] for _ in range(nr_partitions)]
        for place, partition in zip(range(len(keys)), self.many(keys), strict=True):
            parts[partition].append(place)
        for partition, some in enumerate(parts):
            some.sort(key=marks.__getitem__)
            if some:
                yield partition, some

    def _asked(self, keys: Sequence[Any]) -> list[int]:
        function, nr_partitions, params = self._function, self.nr_partitions, self.params
        assert function is not None
        asked = iter(keys)
        try:
            answers = list(map(function, asked, repeat(nr_partitions), repeat(params)))
            if len(answers) < len(keys):  # ``map`` took it for its own end
                raise RuntimeError("the partition function raised StopIteration: its next() found nothing")
        except Exception as error:
            key = keys[len(keys) - length_hint(asked) - 1]
            error.add_note(f"in the partition function, for the key {shown(key)}")
            raise
        if set(map(type, answers)) <= {int}:
            if answers and not 0 <= min(answers) <= max(answers) < nr_partitions:
                self._complain(keys, answers)
            return answers
        self._complain(keys, answers)
        return list(map(int, answers))  # True, or a number of an Enum

    def _complain(self, keys: Sequence[Any], answers: list[Any]) -> None:
        for key, answer in zip(keys, answers, strict=True):
            if not isinstance(answer, int) or not 0 <= answer < self.nr_partitions:
                raise PartitionError(
                    f"the partition function answered {shown(answer)} for the key {shown(key)}: "
                    f"it must answer an int in [0, {self.nr_partitions})"
                )

    def confirm(self, keys: Sequence[Any], partition: int, source: str) -> None:
        """Ask the function again, in another process than the map, for a few keys that it gave ``partition``.

        Raises ``PartitionError`` when it answers something else now. A function that cannot be asked here,
        since it needs what a map has prepared, is believed.
        """
        some = keys[:: len(keys) // _CONFIRMED_KEYS + 1]
        try:
            found = self._elsewhere(some, partition)
        except OOBKeyExists:  # the map has put it
            return
        except (DiscoError, MemoryError):
            raise
        except Exception:  # noqa: BLE001  the job's own function, where it does not expect to be called
            return
        for key, answer in found:
            raise PartitionError(
                f"the partition function {self._name} does not answer the same in every process: for the key "
                f"{shown(key)} it answered {partition} in the map that wrote {source}, and "
                f"{shown(answer)} in this reduce, so one key would end in two results. It must depend "
                "on the key alone: use zlib.crc32 rather than hash(), and nothing random"
            )

    def confirm_kept(self, keys: Sequence[Any], partition: int, source: str) -> None:
        """Ask the function for all keys of a ``partition`` that another function may have given them.

        Raises ``PartitionError`` when it answers something else, and what the function raises.
        """
        for key, answer in self._elsewhere(keys, partition):
            raise PartitionError(
                f"the partition function {self._name} answers {shown(answer)} for the key {shown(key)}, but "
                f"that is in partition {partition} of {source}: retry(keep=True) has kept maps of another "
                "function, so one key would end in two results. Without keep=True they run again"
            )

    def _elsewhere(self, keys: Sequence[Any], partition: int) -> list[tuple[Any, int]]:
        """Keys for which the function answers something else, with that."""
        answers = self.many(keys)
        return [(key, answer) for key, answer in zip(keys, answers, strict=True) if answer != partition]

    @property
    def _name(self) -> str:
        function = self._function or default_partition
        return getattr(function, "__qualname__", "") or shown(function)
