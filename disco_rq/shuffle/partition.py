"""Which reduce gets a key."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import repeat
from operator import length_hint
from typing import Any
from zlib import crc32

from disco_rq.errors import PartitionError
from disco_rq.shuffle.sortorder import sort_key

__all__ = ["Partitioner", "default_partition", "make_range_partition"]

_MIX = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: neighbouring ints spread over all partitions
_MASK = (1 << 64) - 1
_INT_MODULUS = (1 << 61) - 1


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
    if kind is datetime:
        return _digest(sort_key(key))
    return 3  # None, and what the record format is going to refuse


def make_range_partition(min_val: float, max_val: float) -> Callable[[Any, int, Any], int]:
    """A partition function that cuts ``[min_val, max_val]`` into equal ranges, in ascending order.

    The results of the partitions, one after the other, are then in the order of the keys. Keys are numbers,
    or what ``int`` makes one of; a key outside the range ends the job with a ``PartitionError``.
    """
    if not min_val < max_val:
        raise ValueError(f"make_range_partition: min_val {min_val!r} is not less than max_val {max_val!r}")

    width = max_val - min_val

    def range_partition(key: Any, nr_reduces: int, params: Any = None) -> int:  # noqa: ARG001
        number = key if type(key) is int or type(key) is float else int(key)
        if min_val <= number < max_val:
            return int((number - min_val) * nr_reduces / width)
        return nr_reduces - 1 if number == max_val else -1

    return range_partition


class Partitioner:
    """Partitions of many keys at a time, by the job's own function or the default."""

    def __init__(self, function: Callable[..., int] | None, nr_partitions: int, params: Any) -> None:
        self.is_trivial = nr_partitions <= 1 and (function is None or function is default_partition)
        """All keys go to partition 0, without asking."""
        self.is_default = function is None or function is default_partition
        self.nr_partitions = max(nr_partitions, 1)
        self._function = function
        self._params = params

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
        return self._asked(keys)

    def _asked(self, keys: Sequence[Any]) -> list[int]:
        function, nr_partitions, params = self._function, self.nr_partitions, self._params
        assert function is not None
        asked = iter(keys)
        try:
            answers = list(map(function, asked, repeat(nr_partitions), repeat(params)))
        except Exception as error:
            key = keys[len(keys) - length_hint(asked) - 1]
            error.add_note(f"in the partition function, for the key {key!r}")
            raise
        if answers and not (
            set(map(type, answers)) <= {int, bool} and 0 <= min(answers) <= max(answers) < nr_partitions
        ):
            self._complain(keys, answers)
        return answers

    def _complain(self, keys: Sequence[Any], answers: list[Any]) -> None:
        for key, answer in zip(keys, answers, strict=True):
            if not isinstance(answer, int) or not 0 <= answer < self.nr_partitions:
                raise PartitionError(
                    f"the partition function answered {answer!r} for the key {key!r}: "
                    f"it must answer an int in [0, {self.nr_partitions})"
                )
