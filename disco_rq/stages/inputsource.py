"""Any input as the source of a reduce without maps: a result that was saved, or bytes for a reader."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from disco_rq.errors import TaskError
from disco_rq.inputs import open_input
from disco_rq.model import Input
from disco_rq.records import OpaqueStream
from disco_rq.records.blocks import Block, Kind
from disco_rq.stages.mapping import Opener

__all__ = ["InputSource"]

_BLOCK_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class InputSource:
    """One file of any kind, unpartitioned. Raises ``DataError`` when it cannot be read.

    ``has_reader``: whether the job has a ``reduce_reader``, which gets the file's bytes. Otherwise it must be
    a result of a job, saved in our own format; ``TaskError`` if it is not.
    """

    input: Input
    opener: Opener = open_input
    has_reader: bool = True

    @property
    def name(self) -> str:
        return self.input.url

    def blocks(self, partition: int) -> Iterator[Block]:
        with self.opener(self.input) as (fd, _):
            stream = getattr(fd, "raw", None)
            if isinstance(stream, OpaqueStream):
                yield from stream.blocks()
                return
            if not self.has_reader:
                raise TaskError(f"{self.name} is no result of a job: it takes a reduce_reader to read it")
            number = 0
            while data := fd.read(_BLOCK_BYTES):
                yield Block(Kind.OPAQUE, partition, number, len(data), data)
                number += 1
