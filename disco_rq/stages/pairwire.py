"""An external program's pairs as bytes, ``<u32 LE length><key><u32 LE length><value>``, and lists of them."""

from __future__ import annotations

import struct
from collections import deque
from typing import Any, NamedTuple, TypeAlias

from disco_rq.errors import ProgramError
from disco_rq.records.pairs import shown

__all__ = ["IncomingLists", "Pair", "Refusal", "entry_pair", "packed"]

Pair: TypeAlias = tuple[Any, Any]

MAX_ITEM_BYTES = 1 << 30
"""A key or value that is longer is none: the program has written something else. As in Disco."""
MAX_LIST_PAIRS = 1_000_000
"""The same for the pairs of one list."""
REFUSED = 0xFFFFFFFF
"""Instead of the number of pairs: there is no list, but a reason, ``<u32 LE length><text>``."""
MAX_REASON_BYTES = 64 << 10

_U32 = struct.Struct("<I")


class Refusal(NamedTuple):
    """What a program answers to a pair that it cannot use."""

    why: str


def packed(key: Any, value: Any) -> bytes:
    """A pair for the program. Raises ``ProgramError`` for what is no text, bytes or number."""
    key, value = _as_bytes(key, "key"), _as_bytes(value, "value")
    return b"".join((_U32.pack(len(key)), key, _U32.pack(len(value)), value))


def _as_bytes(item: Any, what: str) -> bytes:
    try:
        if isinstance(item, str):
            item = item.encode("utf-8", "surrogateescape")
        elif isinstance(item, int | float) and not isinstance(item, bool):
            item = repr(item).encode()
    except ValueError as error:  # half of a surrogate pair, or more digits than Python writes
        raise ProgramError(
            f"an external program cannot be given this {what} of type {type(item).__name__}: "
            f"{error}: {shown(item)}"
        ) from None
    if not isinstance(item, bytes):
        raise ProgramError(
            f"an external program takes keys and values that are str, bytes, int or float, and this {what} "
            f"is of type {type(item).__name__}: {shown(item)}"
        )
    if len(item) > MAX_ITEM_BYTES:
        raise ProgramError(
            f"an external program takes no {what} of {len(item)} bytes, {MAX_ITEM_BYTES} at most"
        )
    return bytes(item)


def entry_pair(entry: Any) -> Pair:
    """What a map's program gets for an entry: a pair as it is, anything else as the value of an empty key."""
    return entry if isinstance(entry, tuple | list) and len(entry) == 2 else (b"", entry)  # type: ignore[return-value]


class IncomingLists:
    """``<u32 LE count><pairs>`` after one another, taken apart as the bytes come; and refusals."""

    def __init__(self, name: str, *, text: bool) -> None:
        self.complete: deque[list[Pair] | Refusal] = deque()
        self._name = name
        self._text = text
        self._parts: list[bytes] = []  # that cannot be taken apart yet
        self._size = 0  # of the parts
        self._needed = 4  # bytes without which nothing can be done
        self._pairs: list[Pair] = []  # of the list that is coming
        self._missing = 0  # pairs of it

    @property
    def is_inside(self) -> bool:
        """Whether the rest of a list is still to come."""
        return bool(self._size or self._missing)

    def drain(self) -> list[Pair]:
        """All pairs that have come, whether their list is complete or not."""
        pairs: list[Pair] = []
        for complete in self.complete:
            if isinstance(complete, Refusal):
                raise ProgramError(
                    f"the {self._name} refuses a pair, which only a map may do: {complete.why}"
                )
            pairs += complete
        self.complete.clear()
        some, self._pairs = self._pairs, []
        return pairs + some

    def feed(self, data: bytes) -> None:
        """Take the next bytes. Raises ``ProgramError`` for sizes that no program means."""
        self._parts.append(data)
        self._size += len(data)
        if self._size >= self._needed:
            data = b"".join(self._parts)
            rest = data[self._take(data) :]
            self._parts, self._size = [rest], len(rest)

    def _take(self, data: bytes) -> int:
        """Take all that is complete, and note what the next step needs. Returns where the rest begins."""
        at = 0
        while True:
            while self._missing:
                end = self._take_pair(data, at)
                if not end:
                    return at
                at = end
                self._missing -= 1
                if not self._missing:
                    self._end_list()
            self._needed = 4
            if len(data) < at + 4:
                return at
            count: int = _U32.unpack_from(data, at)[0]
            if count == REFUSED:
                end = self._take_refusal(data, at)
                if not end:
                    return at
                at = end
                continue
            self._missing = count
            if count > MAX_LIST_PAIRS:
                raise self._nonsense(f"a list of {self._missing} pairs, {MAX_LIST_PAIRS} at most", data, at)
            at += 4
            if not self._missing:
                self._end_list()

    def _take_pair(self, data: bytes, at: int) -> int:
        """Take the pair that begins there. Returns its end; 0 if it is not all there."""
        key = at + 4
        value = end = key + 4
        size = len(data)
        if size >= key:
            length: int = _U32.unpack_from(data, at)[0]
            value = end = key + length + 4
            if size >= value:
                length = _U32.unpack_from(data, value - 4)[0]
                end = value + length
                if size >= end:
                    pair = data[key : value - 4], data[value:end]
                    self._pairs.append(_as_text(*pair) if self._text else pair)
                    return end
            if length > MAX_ITEM_BYTES:
                raise self._nonsense(f"a key or value of {length} bytes, {MAX_ITEM_BYTES} at most", data, at)
        self._needed = end - at
        return 0

    def _take_refusal(self, data: bytes, at: int) -> int:
        """The same of a refusal."""
        end = at + 8
        if len(data) >= end:
            length: int = _U32.unpack_from(data, at + 4)[0]
            if length > MAX_REASON_BYTES:
                raise self._nonsense(f"a reason of {length} bytes, {MAX_REASON_BYTES} at most", data, at)
            end += length
            if len(data) >= end:
                self.complete.append(Refusal(data[at + 8 : end].decode("utf-8", "backslashreplace")))
                return end
        self._needed = end - at
        return 0

    def _end_list(self) -> None:
        self.complete.append(self._pairs)
        self._pairs = []

    def _nonsense(self, what: str, data: bytes, at: int) -> ProgramError:
        return ProgramError(
            f"the {self._name} announces {what}: only pairs belong on its stdout, and it wrote "
            f"{data[at : at + 40]!r}"
        )


def _as_text(key: bytes, value: bytes) -> Pair:
    return key.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape")
