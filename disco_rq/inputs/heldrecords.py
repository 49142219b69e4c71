"""``records_input``: small data of the program as an input. It travels with the job, beside its addresses.

A map task gets its range of the records in its own signed input and reads no other, so nothing is left when
the job is purged.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice, pairwise
from typing import Any, BinaryIO

from disco_rq.errors import JobArgumentError, RecordTypeError, TaskError
from disco_rq.model import Identity, Input, MapInput, shown
from disco_rq.readers.parquet import python_values
from disco_rq.records.taken import taken
from disco_rq.records.typed import pack_columns, unpack_columns

__all__ = ["MOST_BYTES", "HeldRecords", "read_held", "records_input"]

MOST_BYTES = 32 << 20
"""Of the records of one input, packed: Redis keeps them as long as the job."""
_RANGE_BYTES = 1 << 20
_LEAST_RANGES = 8
"""Few records may well be much work."""
_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class HeldRecords:
    """Records as they were when ``records_input`` was called, in the ranges that one map each reads."""

    nr_records: int
    ranges: tuple[tuple[int, bytes], ...] = field(repr=False)  # number of the first one, all of them packed

    def __str__(self) -> str:
        """As ``jobspec`` tells it."""
        return f"records://{self.nr_records}"

    def tasks(self) -> Iterator[MapInput]:
        """What each map reads; its address has the numbers of its records, counted from 0."""
        starts = [start for start, _ in self.ranges]
        for (_, data), (start, end) in zip(self.ranges, pairwise([*starts, self.nr_records]), strict=True):
            known = Identity(len(data))
            yield MapInput(((Input(f"records://{start}-{end - 1}", identity=known, data=data),),))


def records_input(data: Any, *, maps: int | None = None) -> HeldRecords:
    """Records as the ``input`` of a job, or as one entry of it.

    They are any iterable of what results hold: dicts, tuples, text, numbers and so on. Or they are a frame
    of pandas or polars or a table of pyarrow, whose rows come as dicts. Each record is an entry of the map,
    as it went in. ``maps``: how many maps share them out; by default one for each MiB, at least eight as
    far as there are so many records. Raises ``JobArgumentError`` for what is over 32 MiB, or no record of
    ours.
    """
    if maps is not None and (isinstance(maps, bool) or not isinstance(maps, int) or maps < 1):
        raise JobArgumentError(f"records_input: maps={shown(maps)}: it takes a number from 1 on, or None")
    records: list[Any] = []
    size = 0
    rows = iter(_rows(data))
    while some := [_taken(row, number) for number, row in enumerate(islice(rows, _LOOKED_AT), len(records))]:
        size += len(_packed(some, len(records)))
        records += some
        if size > MOST_BYTES:
            raise JobArgumentError(
                f"records_input: over {MOST_BYTES >> 20} MiB at record {len(records) - 1}, which is the most "
                "that travels with a job: write a file and give its address"
            )
    number = maps or max(-(-size // _RANGE_BYTES), _LEAST_RANGES)
    return HeldRecords(len(records), tuple(_ranges(records, min(number, len(records)))))


def _ranges(records: list[Any], number: int) -> Iterator[tuple[int, bytes]]:
    """So many ranges whose lengths differ by one record at most."""
    starts = [len(records) * i // number for i in range(number)]
    for start, end in pairwise([*starts, len(records)]):
        yield start, _packed(records[start:end], start)


def _rows(data: Any) -> Iterable[Any]:
    kind = f"{type(data).__module__.partition('.')[0]}.{type(data).__name__}"
    if kind == "polars.LazyFrame":
        raise JobArgumentError("records_input: a polars.LazyFrame has no rows yet: its collect()")
    if kind == "polars.DataFrame":
        return data.iter_rows(named=True)  # type: ignore[no-any-return]
    if kind == "pyarrow.Table":
        return _rows_of_arrow(data)
    if kind == "pandas.DataFrame":
        if not data.columns.is_unique:
            raise JobArgumentError("records_input: two columns of the frame have one name; a dict has one")
        return ({name: _of_python(value) for name, value in row.items()} for row in data.to_dict("records"))
    if isinstance(data, str | bytes | bytearray | Mapping | io.IOBase) or not isinstance(data, Iterable):
        raise JobArgumentError(f"records_input takes a list of records or a frame, not {type(data).__name__}")
    return data


def _rows_of_arrow(table: Any) -> Iterator[dict[str, Any]]:
    names = table.column_names
    if len(set(names)) < len(names):
        raise JobArgumentError("records_input: two columns of the table have one name; a dict has one")
    try:
        columns = [
            python_values(column, f"column {name!r}")
            for name, column in zip(names, table.columns, strict=True)
        ]
    except TaskError as error:
        raise JobArgumentError(f"records_input: {error}") from None
    for row in zip(*columns, strict=True) if columns else [()] * table.num_rows:
        yield dict(zip(names, row, strict=True))


def _of_python(value: Any) -> Any:
    """A value of a pandas frame: a missing one is None, a moment the equal one of Python."""
    if type(value).__module__.partition(".")[0] != "pandas":
        return value
    match type(value).__name__:
        case "NaTType" | "NAType":
            return None
        case "Timestamp" if not value.nanosecond:
            return value.to_pydatetime()
        case "Timedelta" if not value.nanoseconds:
            return value.to_pytimedelta()
    return value  # nanoseconds: refused by its type, as all that would not come back


def _taken(row: Any, number: int) -> Any:
    try:
        return taken(row)
    except RecordTypeError as error:
        raise _refusal(row, number, error) from None


def _packed(records: list[Any], first: int) -> bytes:
    try:
        return pack_columns(list(range(len(records))), records, grouped=False)
    except RecordTypeError as error:
        for number, row in enumerate(records, first):
            try:
                pack_columns([0], [row], grouped=False)
            except RecordTypeError as own:
                raise _refusal(row, number, own) from None
        raise JobArgumentError(f"records_input: {error}") from None


def _refusal(row: Any, number: int, error: RecordTypeError) -> JobArgumentError:
    why = str(error).partition(" (the key is ")[0].partition(", or use disco_rq.func.object_writer")[0]
    return JobArgumentError(f"records_input: record {number}, {shown(row)}: {why}")


def read_held(fd: BinaryIO, size: int | None, fname: str) -> Iterator[Any]:  # noqa: ARG001
    """The records of one range."""
    _, records = unpack_columns(fd.read(), grouped=False)
    return iter(records)
