"""A sketch of a set: HyperLogLog, with Ertl's estimate, which needs no table of corrections.

The number of elements is told with a standard error of ``1.04 / sqrt(2**bits)``; of a few, exactly.
Flajolet et al., "HyperLogLog" (2007); Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
sketches" (2017).
"""

from __future__ import annotations

import math
import struct
from collections import Counter
from decimal import Decimal
from typing import Any

from xxhash import xxh3_64_intdigest

from disco_rq.shuffle.partition import equal_number, without_zeros
from disco_rq.shuffle.sortorder import sort_key

__all__ = ["LEAST_BITS", "MARK", "MOST_BITS", "Sketch", "bits_for", "digest"]

MARK = b"\xffdisco-rq sketch\x01"
"""A sketch as bytes begins so."""
LEAST_BITS, MOST_BITS = 4, 18
_FACTOR = 1.04
_HASH_BITS = 64
_FEW = 8
"""As long as there are fewer elements than bytes through this, their digests take no more room."""
_LARGE = 10**1000
_ALPHA = 1 / (2 * math.log(2))


def bits_for(error: float) -> int:
    """The bits that such a standard error takes; more than ``MOST_BITS`` where it is too small."""
    return max(math.ceil(2 * math.log2(_FACTOR / error)), LEAST_BITS)


def digest(value: Any) -> int:
    """64 bits, the same for values that are equal, in every process. ``RecordTypeError`` for other types."""
    if type(value) is str:
        return int(xxh3_64_intdigest(b"s" + value.encode("utf-8", "surrogatepass")))
    return int(xxh3_64_intdigest(_packed(sort_key(value))))


def _packed(order: Any) -> bytes:
    """A sort key as bytes: tuples of numbers and text."""
    kind = type(order)
    if kind is int and -_LARGE < order < _LARGE:
        return b"i%d" % order
    if kind is tuple:
        return b"(%b)" % b",".join(map(_packed, order))
    if kind is str:
        return _with_length(b"s", order.encode("utf-8", "surrogatepass"))
    if kind is bytes:
        return _with_length(b"b", order)
    return _number(order)


def _number(number: Any) -> bytes:
    """The same for an int, a float and a Decimal that are equal."""
    if type(number) is Decimal:
        found = equal_number(number)
        if type(found) is tuple:
            return b"d" + str(without_zeros(number)).encode()
        if type(found) is float:
            number = found
    if type(number) is float and not number.is_integer():
        return b"f" + struct.pack("<d", number)
    if -_LARGE < number < _LARGE:
        return b"i%d" % int(number)
    return b"l" + str(without_zeros(Decimal(number))).encode()  # not all of its digits, if it has a million


def _with_length(mark: bytes, data: bytes) -> bytes:
    return b"%b%d:%b" % (mark, len(data), data)


class Sketch:
    """Takes digests. Few are held as they are, of many the longest run of zeros in each share of them."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._rest_bits = _HASH_BITS - bits
        self._few: set[int] | None = set()
        self._longest = bytearray()

    def add(self, digest: int) -> None:
        if self._few is None:
            self._look(digest)
            return
        self._few.add(digest)
        if len(self._few) > (1 << self._bits) // _FEW:
            self._become_many()

    def merge(self, packed: bytes) -> bool:
        """Take all that another sketch has taken. False if it has other bits, or is none."""
        head, body = packed[len(MARK) : len(MARK) + 2], packed[len(MARK) + 2 :]
        if head == bytes([self._bits, 1]) and len(body) == 1 << self._bits:
            self._become_many()
            self._longest = bytearray(map(max, self._longest, body))
        elif head == bytes([self._bits, 0]) and len(body) % 8 == 0:
            for found in struct.unpack(f"<{len(body) // 8}Q", body):
                self.add(found)
        else:
            return False
        return True

    def pack(self) -> bytes:
        """As ``merge`` takes it."""
        if self._few is None:
            return MARK + bytes([self._bits, 1]) + bytes(self._longest)
        return MARK + bytes([self._bits, 0]) + struct.pack(f"<{len(self._few)}Q", *sorted(self._few))

    def count(self) -> int:
        """About how many different digests there were."""
        return len(self._few) if self._few is not None else round(_estimate(self._longest, self._rest_bits))

    def _become_many(self) -> None:
        few, self._few = self._few, None
        if few is not None:
            self._longest = bytearray(1 << self._bits)
            for digest in few:
                self._look(digest)

    def _look(self, digest: int) -> None:
        share = digest >> self._rest_bits
        run = self._rest_bits + 1 - (digest & ((1 << self._rest_bits) - 1)).bit_length()
        if run > self._longest[share]:
            self._longest[share] = run


def _estimate(longest: bytearray, most: int) -> float:
    """Ertl's improved raw estimate."""
    shares, counts = len(longest), Counter(longest)
    z = shares * _tau(1 - counts[most + 1] / shares)
    for run in range(most, 0, -1):
        z = (z + counts[run]) / 2
    return _ALPHA * shares * shares / (z + shares * _sigma(counts[0] / shares))


def _sigma(x: float) -> float:
    if x == 1:
        return math.inf
    y, z, before = 1.0, x, -1.0
    while z != before:
        x, before = x * x, z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    y, z, before = 1.0, 1 - x, -1.0
    while z != before:
        x, before = math.sqrt(x), z
        y /= 2
        z -= (1 - x) ** 2 * y
    return z / 3
