"""Any input as the source of a reduce without maps: its bytes, for the job's ``reduce_reader``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from disco_rq.inputs import open_input
from disco_rq.model import Input
from disco_rq.records.blocks import Block, Kind
from disco_rq.stages.mapping import Opener

__all__ = ["InputSource"]

_BLOCK_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class InputSource:
    """One file of any kind, unpartitioned. Raises ``DataError`` when it cannot be read."""

    input: Input
    opener: Opener = open_input

    @property
    def name(self) -> str:
        return self.input.url

    def blocks(self, partition: int) -> Iterator[Block]:
        with self.opener(self.input) as (fd, _):
            number = 0
            while data := fd.read(_BLOCK_BYTES):
                yield Block(Kind.OPAQUE, partition, number, len(data), data)
                number += 1
