"""Digests of pairs as a multiset: the same in whatever order, blocks and groups they come.

A pair's digest is that of its value as bytes, with that of its key as seed; a partition's is the sum of
all of them. Columns are summed at the speed of C: 0.1 µs a pair, less where the values of a group are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import chain, repeat
from operator import add, itemgetter, mul
from typing import Any

from xxhash import xxh3_64_intdigest

from disco_rq.records.taken import PLAIN
from disco_rq.records.typed import kinds_of, value_packer

__all__ = ["DIGEST_BYTES", "changed_partitions", "columns_digest", "pack_digest", "pair_digests"]

DIGEST_BYTES = 4
"""Of a partition, as it is kept: a job may have millions. Two that differ look alike once in 2**32."""
_ALIKE = {int, str, bytes, bool, type(None)}
"""Types of which all that are equal are packed alike."""
_SEQUENCES = {list, tuple}
_TAGS: dict[type, int] = {str: 1, bytes: 2}
"""Types of which the bytes are not packed, so that they look like other things."""
_NR_TAGS = 4
_first = itemgetter(0)


def columns_digest(
    keys: Sequence[Any], values: Sequence[Any], *, grouped: bool, kinds: Set[type] | None = None
) -> int:
    """The sum over the pairs of a block that can be packed (``grouped``: a list of values for each key).

    ``kinds``: types among which those of the values are, if the caller knows them.
    """
    kinds = kinds or kinds_of(values, grouped=grouped)
    digests = _of_groups if grouped else _of_pairs
    try:
        return sum(digests(keys, values, kinds, _Bytes(surrogates=False)))
    except UnicodeEncodeError:
        return sum(digests(keys, values, kinds, _Bytes(surrogates=True)))


def pair_digests(keys: Sequence[Any], values: Sequence[Any]) -> Iterator[int]:
    """The digest of each pair, as it is summed for a partition."""
    return _of_pairs(keys, values, kinds_of(values, grouped=False), _Bytes(surrogates=True))


def changed_partitions(before: bytes, after: bytes) -> list[int]:
    """Which partitions differ, of two outputs' packed digests; none where they cannot be compared."""
    if len(before) != len(after):
        return []
    starts = range(0, len(before), DIGEST_BYTES)
    return [i // DIGEST_BYTES for i in starts if before[i : i + DIGEST_BYTES] != after[i : i + DIGEST_BYTES]]


def _of_pairs(keys: Sequence[Any], values: Sequence[Any], kinds: Set[type], of: _Bytes) -> Iterator[int]:
    if len(kinds) == 1:
        seeds = of.keys(keys, *kinds)
    else:
        tags = map(_NR_TAGS.__mul__, map(_tag, map(type, keys)))
        seeds = map(xxh3_64_intdigest, of.each(keys), map(add, tags, map(_tag, map(type, values))))
    return map(xxh3_64_intdigest, of.column(values, kinds), seeds)


def _of_groups(keys: Sequence[Any], values: Sequence[Any], kinds: Set[type], of: _Bytes) -> Iterator[int]:
    sizes = list(map(len, values))
    if len(kinds) == 1 and kinds <= _ALIKE and all(sizes):
        first = list(map(_first, values))
        if list(map(list.count, values, first)) == sizes:
            digests = map(xxh3_64_intdigest, of.column(first, kinds), of.keys(keys, *kinds))
            return map(mul, sizes, digests)
    of_each = list(chain.from_iterable(map(repeat, keys, sizes)))
    return _of_pairs(of_each, list(chain.from_iterable(values)), kinds, of)


def _tag(kind: type) -> int:
    return _TAGS.get(kind, 0)


def pack_digest(digest: int) -> bytes:
    """A sum as it is kept."""
    return (digest >> 32 & 0xFFFFFFFF).to_bytes(DIGEST_BYTES, "little")


class _Bytes:
    """Each value of a column as bytes: the same whatever else is in the column, without an order that it has
    by chance, a tuple like the list. Strings with or without lone surrogates.
    """

    def __init__(self, *, surrogates: bool) -> None:
        self._pack = value_packer(surrogates=surrogates)
        self._encode = _encoded if surrogates else str.encode

    def keys(self, keys: Sequence[Any], value_kind: type) -> Iterator[int]:
        """The digests of keys whose values are of one type."""
        kinds = set(map(type, keys))
        tag = _tag(value_kind)
        if len(kinds) == 1:
            tags: Iterable[int] = repeat(_NR_TAGS * _tag(*kinds) + tag)
        else:
            tags = [_NR_TAGS * _tag(type(key)) + tag for key in keys]
        return map(xxh3_64_intdigest, self.column(keys, kinds), tags)

    def column(self, column: Sequence[Any], kinds: Set[type]) -> Iterable[bytes]:
        """``kinds``: their types."""
        if kinds == {str}:
            return map(self._encode, column)
        if kinds == {bytes}:
            return column
        if kinds.isdisjoint(_TAGS):
            if kinds <= PLAIN:
                return map(self._pack, column)
            if kinds <= _SEQUENCES and PLAIN.issuperset(map(type, chain.from_iterable(column))):
                return map(self._pack, map(list, column))
        return self.each(column)

    def each(self, column: Sequence[Any]) -> Iterator[bytes]:
        pack, encode = self._pack, self._encode
        for value in column:
            kind = type(value)
            if kind is str:
                yield encode(value)
            elif kind is bytes:
                yield value
            else:
                yield pack(_ordered(value, pack))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _ordered(value: Any, pack: Callable[[Any], bytes]) -> Any:
    """A list for each tuple, and for each set and dict one in the order of its items' bytes."""
    kind = type(value)
    if kind is list or kind is tuple:
        return [_ordered(item, pack) for item in value]
    if kind is set or kind is frozenset:
        return [kind.__name__, sorted(pack(_ordered(item, pack)) for item in value)]
    if kind is dict:
        items = ([_ordered(name, pack), _ordered(item, pack)] for name, item in value.items())
        return [kind.__name__, sorted(map(pack, items))]
    return value
