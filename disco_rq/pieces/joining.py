"""Rows of two sides that have the same key, in bounded memory: more rows than that go to a file."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Any

import cloudpickle

from disco_rq.errors import TaskError
from disco_rq.records.pairs import shown
from disco_rq.shuffle.grouping import RecordStream, kvgroup
from disco_rq.shuffle.memory import REFERENCE_BYTES, average_bytes

__all__ = ["HOW", "HeldRows", "Join"]

HOW = ("inner", "left", "outer")
_LEFT, _RIGHT = "left", "right"
_HELD_BYTES = 16 << 20
"""Of the rows of one side of one key."""
_BLOCK_BYTES = 1 << 20
_FEW, _SAMPLE = 16, 16

Pairs = Iterator[tuple[Any, tuple[Any, Any]]]


@dataclass(frozen=True)
class Join:
    """``reduce=``: each row of the left with each of the right that has its key."""

    how: str
    needs_sort = "func.join"
    """It is refused at submit for a job that does not sort."""

    def __call__(
        self,
        iter: Iterable[tuple[Any, Any]],
        params: Any,  # noqa: ARG002
    ) -> Pairs:
        if not (isinstance(iter, RecordStream) and iter.is_sorted):
            raise TaskError("func.join needs sort_values=True, or sort=True")
        joined = self._left_first if iter.has_sorted_values else self._mixed
        for key, values in kvgroup(iter):
            yield from joined(key, _sided(values))

    def _left_first(self, key: Any, sided: Iterator[tuple[bool, Any]]) -> Pairs:
        """Rows of the left are held, those of the right come after them and go by."""
        with HeldRows() as left:
            met = False
            for is_left, row in sided:
                if not is_left:
                    met = True
                    yield from self._met(key, left, row)
                elif met:
                    raise TaskError('func.join takes ("left", row) always as a tuple, or always as a list')
                else:
                    left.add(row)
            if not met:
                yield from self._alone(key, left)

    def _mixed(self, key: Any, sided: Iterator[tuple[bool, Any]]) -> Pairs:
        with HeldRows() as left, HeldRows() as right:
            for is_left, row in sided:
                (left if is_left else right).add(row)
            for row in right:
                yield from self._met(key, left, row)
            if not right:
                yield from self._alone(key, left)

    def _met(self, key: Any, left: HeldRows, row: Any) -> Pairs:
        """A row of the right with those of the left."""
        if left:
            for other in left:
                yield key, (other, row)
        elif self.how == "outer":
            yield key, (None, row)

    def _alone(self, key: Any, left: HeldRows) -> Pairs:
        """Rows of the left that met none."""
        if self.how != "inner":
            for row in left:
                yield key, (row, None)


def _sided(values: Iterable[Any]) -> Iterator[tuple[bool, Any]]:
    """Whether it is of the left, and the row."""
    for value in values:
        if type(value) not in (tuple, list) or len(value) != 2 or value[0] not in (_LEFT, _RIGHT):
            raise TaskError(
                'func.join takes values ("left", row) and ("right", row), and '
                f"{shown(value)} is of the type {type(value).__qualname__}"
            )
        yield value[0] == _LEFT, value[1]


class HeldRows:
    """Rows that can be read again and again, one reader at a time. Of many most are in a file."""

    def __init__(self, limit_bytes: int = _HELD_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._rows: list[Any] = []
        self._look_at = _FEW
        self._file: IO[bytes] | None = None
        self._nr_blocks = 0

    def __enter__(self) -> HeldRows:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def __bool__(self) -> bool:
        return bool(self._rows or self._nr_blocks)

    def __iter__(self) -> Iterator[Any]:
        if self._file is not None:
            self._file.seek(0)
            for _ in range(self._nr_blocks):
                yield from pickle.load(self._file)
        yield from self._rows

    def add(self, row: Any) -> None:
        """Hold one more. Not while somebody reads."""
        self._rows.append(row)
        if len(self._rows) >= self._look_at:
            self._weigh()

    def _weigh(self) -> None:
        nr_rows = len(self._rows)
        # The latest ones too: large rows may follow small ones.
        some, latest = self._rows[:: nr_rows // _SAMPLE + 1], self._rows[-_SAMPLE:]
        weight = max(average_bytes(some), average_bytes(latest)) + REFERENCE_BYTES
        if weight * nr_rows < self._limit_bytes:
            self._look_at = nr_rows + max(min(nr_rows, int(self._limit_bytes / weight / 4)), _FEW)
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        size = max(int(_BLOCK_BYTES / weight), 1)
        for start in range(0, nr_rows, size):
            cloudpickle.dump(self._rows[start : start + size], self._file, pickle.HIGHEST_PROTOCOL)
            self._nr_blocks += 1
        self._rows = []
        self._look_at = _FEW
