"""Bytes that a user's writer wrote: cut into blocks on the way in, one stream again on the way out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from xxhash import xxh3_64_intdigest

from disco_rq.errors import TaskError
from disco_rq.records.blocks import Block, Kind

__all__ = ["OpaqueFile", "OpaqueStream"]

_BLOCK_BYTES = 256 << 10


class OpaqueFile(io.RawIOBase):
    """The ``fd`` of a ``map_writer`` or ``reduce_writer``: hands on what is written in pieces.

    ``digest``: of what was written for each pair, in any order, as far as ``end_pair`` was called.
    """

    def __init__(self, hand_on: Callable[[bytes], None], *, digest: bool = False) -> None:
        self._hand_on = hand_on
        self._of_pair: list[bytes] | None = [] if digest else None
        self.digest = 0
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        """Take bytes. ``str`` is refused by name: it has no one encoding."""
        if isinstance(data, str):
            raise TypeError("a writer writes bytes to fd, not str: encode it, fd.write(text.encode())")
        piece = bytes(data)
        self._pieces.append(piece)
        if self._of_pair is not None:
            self._of_pair.append(piece)
        self._size += len(piece)
        if self._size >= _BLOCK_BYTES:
            self.hand_on_rest()
        return len(piece)

    def end_pair(self) -> None:
        """What was written since the last call is all that there is of a pair."""
        if self._of_pair:
            self.digest += xxh3_64_intdigest(b"".join(self._of_pair))
            self._of_pair.clear()

    def hand_on_rest(self) -> None:
        """Hand on what is left. Not ``flush``: that is also called when the object dies after an error."""
        if self._size:
            data = b"".join(self._pieces)
            self._pieces, self._size = [], 0
            self._hand_on(data)


class OpaqueStream(io.RawIOBase):
    """The bytes of opaque blocks as one stream. Whoever wants pairs instead takes its ``blocks``."""

    def __init__(
        self, blocks: Iterable[Block], name: str, advice: str = "it is read without a reader"
    ) -> None:
        """``advice``: what to do with typed pairs, which have no bytes."""
        self._blocks = iter(blocks)
        self._name = name
        self._advice = advice
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def blocks(self) -> Iterator[Block]:
        """Those that were not read as bytes."""
        return self._blocks

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest:
            block = next(self._blocks, None)
            if block is None:
                return 0
            if block.kind != Kind.OPAQUE:
                self._blocks = chain((block,), self._blocks)
                raise TaskError(f"{self._name} holds typed pairs of a job: {self._advice}")
            self._rest = memoryview(block.data)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
