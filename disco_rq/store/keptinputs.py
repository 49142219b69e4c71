"""The inputs of a job that was submitted before, as Redis keeps them: none is taken apart for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from disco_rq.model import MapInput
from disco_rq.packing.signing import TASK_SIGNATURE_BYTES
from disco_rq.store.attempts import pack_input, unpack_input

__all__ = ["KeptInputs", "packed_inputs"]

_UNSIGNED = bytes(TASK_SIGNATURE_BYTES)


class KeptInputs(Sequence[MapInput]):
    """What a job's maps read, or its reduces, each unpacked when it is asked for."""

    def __init__(self, packed: list[bytes]) -> None:
        """``packed``: without signatures."""
        self.packed = packed

    def __len__(self) -> int:
        return len(self.packed)

    @overload
    def __getitem__(self, index: int) -> MapInput: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[MapInput]: ...
    def __getitem__(self, index: int | slice) -> MapInput | Sequence[MapInput]:
        if isinstance(index, slice):
            return KeptInputs(self.packed[index])
        entry = unpack_input(_UNSIGNED + self.packed[index])
        return MapInput(entry.parts, side=entry.side)

    def note(self) -> str:
        """A line for the job's history: what was left out was told at the first submit."""
        return ""


def packed_inputs(inputs: Sequence[MapInput]) -> list[bytes]:
    """Each as Redis keeps it, without a signature."""
    return inputs.packed if isinstance(inputs, KeptInputs) else list(map(pack_input, inputs))
