"""Where a file of CSV may be cut: found by reading it through once, or not at all.

Text between quotes is by turns outside and inside of fields with quotes. It is outside that counts: each part
of it must begin behind such a field and end before one, or be empty, as between the two quotes that stand for
one. A quote anywhere else, as in ``5" disk``, is part of a field: then only parsing tells what is quoted.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import BinaryIO

__all__ = ["record_borders"]

_CHUNK_BYTES = 1 << 20
_LINE_BYTES = 64 << 20
"""A file with a longer line is not cut."""
_first, _last = itemgetter(slice(0, 1)), itemgetter(slice(-1, None))


def record_borders(
    file: BinaryIO, size: int, piece_size: int, *, quote: bytes, delimiter: bytes
) -> list[int]:
    """The first bytes of records, about ``piece_size`` apart; none if a quote stands where it should not.

    ``file`` is read from its start, behind a byte-order mark.
    """
    count = -(-size // piece_size)
    targets = iter([i * size // count for i in range(1, count)])
    target = next(targets, size + 1)
    ends = frozenset((b"", b"\n", b"\r", delimiter))
    borders: list[int] = []
    inside, at = False, file.tell()
    for lines in _whole_lines(file):
        parts = lines.split(quote)
        if not _quotes_are_regular(parts, inside, ends, is_end=not lines.endswith(b"\n")):
            return []
        while target < at + len(lines):
            border = _record_start(lines, max(target - at - 1, 0), quote, inside)
            if border is None:
                break
            borders.append(at + border)
            while target <= at + border:
                target = next(targets, size + 1)
        inside ^= len(parts) % 2 == 0
        at += len(lines)
        if len(lines) > _LINE_BYTES:
            return []
    return [border for border in borders if border < size] if not inside else []


def _whole_lines(file: BinaryIO) -> Iterator[bytes]:
    """Some lines at a time, up to the one that is cut off by the end of the file."""
    rest = b""
    while data := file.read(_CHUNK_BYTES):
        end = data.rfind(b"\n") + 1
        if end or len(rest) > _LINE_BYTES:
            yield rest + data[:end]
            rest = b""
        rest += data[end:]
    if rest:
        yield rest


def _quotes_are_regular(parts: list[bytes], inside: bool, ends: frozenset[bytes], *, is_end: bool) -> bool:
    """Whether each quote in the lines, split at their quotes, opens or closes a field, or is one of two."""
    outside = parts[inside::2]
    begins = outside if inside else outside[1:]  # the first one begins a line
    is_last = len(parts) % 2 != inside
    closes = outside[:-1] if is_end and is_last else outside
    return ends.issuperset(map(_first, begins)) and ends.issuperset(map(_last, closes))


def _record_start(lines: bytes, position: int, quote: bytes, inside: bool) -> int | None:
    """Where the first record behind a line's end at ``position`` or later begins."""
    inside ^= lines.count(quote, 0, position) % 2 == 1
    while (newline := lines.find(b"\n", position)) >= 0:
        inside ^= lines.count(quote, position, newline) % 2 == 1
        position = newline + 1
        if not inside:
            return position
    return None
