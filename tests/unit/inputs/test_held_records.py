"""``records_input``: small data as an input."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgpack
import pytest

from disco_rq import JobArgumentError, local, records_input, result_iterator
from disco_rq.errors import BadSignature
from disco_rq.inputs import heldrecords, open_input, plan_inputs
from disco_rq.inputs.heldrecords import HeldRecords, read_held
from disco_rq.model import Input, MapInput
from disco_rq.packing import JobSeal
from disco_rq.store.attempts import check_input, seal_input, unpack_input

AWKWARD: list[Any] = [
    {"a": 1, "b": [1, (2, 3)]},
    (1, "x"),
    ["list", None],
    "text\udce9",
    b"\0",
    1 << 80,
    float("inf"),
    {1: {2, 3}},
    datetime(2026, 11, 29, tzinfo=UTC),
    date(2026, 11, 29),
    Decimal("1.10"),
    None,
]


def read(held: HeldRecords) -> list[Any]:
    found: list[Any] = []
    for [[one]] in (task.parts for task in held.tasks()):
        with open_input(one) as (fd, size):
            found += read_held(fd, size, one.url)
    return found


@pytest.mark.parametrize("maps", [None, 1, 3, 100])
def test_records_come_out_as_they_went_in(maps: int | None) -> None:
    found = read(records_input(AWKWARD, maps=maps))
    assert found == AWKWARD
    assert list(map(type, found)) == list(map(type, AWKWARD))


def test_ranges_are_even_by_count_and_told_in_the_address() -> None:
    urls = [url for task in records_input(range(10), maps=3).tasks() for url in task.urls()]
    assert urls == ["records://0-2", "records://3-5", "records://6-9"]
    assert len(list(records_input([7]).tasks())) == 1
    assert list(records_input([]).tasks()) == []


def test_a_range_travels_and_is_signed_with_the_input() -> None:
    [task] = records_input(AWKWARD, maps=1).tasks()
    again = MapInput.unpack(msgpack.unpackb(msgpack.packb(task.pack())))
    assert again == task
    assert again.parts[0][0].data == task.parts[0][0].data


def test_records_count_as_they_were_when_they_were_given() -> None:
    def filled_again() -> Iterator[dict[str, int]]:
        row = {}
        for i in range(3):
            row["i"] = i
            yield row

    rows = [[1]]
    held = records_input(rows)
    rows[0].append(2)
    assert read(held) == [[1]]
    assert read(records_input(filled_again())) == [{"i": 0}, {"i": 1}, {"i": 2}]


def test_over_the_limit_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heldrecords, "MOST_BYTES", 1 << 20)
    endless = iter(lambda: "x" * 1000, None)
    with pytest.raises(JobArgumentError, match=r"over 1 MiB at record \d+.*write a file"):
        records_input(endless)


class _Frame:
    """Quacks like a frame of the library that its class says it is of."""

    def __init__(self, unique: bool = True) -> None:
        self.columns = SimpleNamespace(is_unique=unique)

    def to_dict(self, orient: str) -> list[dict[str, int]]:
        assert orient == "records"
        return [{"a": 1}]

    def iter_rows(self, *, named: bool) -> Iterator[dict[str, int]]:
        assert named
        yield {"a": 1}


@pytest.mark.parametrize("module", ["pandas.core.frame", "polars.dataframe.frame"])
def test_rows_of_a_frame_are_dicts(module: str) -> None:
    frame = type("DataFrame", (_Frame,), {"__module__": module})
    assert read(records_input(frame())) == [{"a": 1}]
    with pytest.raises(JobArgumentError, match=r"not DataFrame: disco_rq\.records_input"):
        plan_inputs(frame(), line_based=True)


def test_moments_of_pandas_are_those_of_python_and_what_is_missing_is_none() -> None:
    moment, missing = datetime(2026, 11, 29, tzinfo=UTC), type("NaTType", (), {"__module__": "pandas"})()

    def stamp(nanosecond: int) -> Any:
        members = {"nanosecond": nanosecond, "to_pydatetime": lambda _: moment, "__module__": "pandas"}
        return type("Timestamp", (), members)()

    class Dated(_Frame):
        def to_dict(self, orient: str) -> list[Any]:
            return [{"t": stamp(0), "u": missing}]

    class Finer(_Frame):
        def to_dict(self, orient: str) -> list[Any]:
            return [{"t": stamp(7)}]

    dated, finer = (type("DataFrame", (one,), {"__module__": "pandas"})() for one in (Dated, Finer))
    assert read(records_input(dated)) == [{"t": moment, "u": None}]
    with pytest.raises(JobArgumentError, match=r"record 0.*has the type pandas\.") as refused:
        records_input(finer)
    assert "object_writer" not in str(refused.value)


def test_rows_of_a_table_of_arrow_are_dicts() -> None:
    pyarrow = pytest.importorskip("pyarrow")
    assert read(records_input(pyarrow.table({"a": [1, None]}))) == [{"a": 1}, {"a": None}]


@pytest.mark.parametrize(
    ("data", "options", "says"),
    [
        ("text", {}, "records_input takes a list of records or a frame, not str"),
        ({"a": 1}, {}, "not dict"),
        (7, {}, "not int"),
        ([1, object], {}, "records_input: record 1, <class 'object'>"),
        ([1], {"maps": 0}, "maps=0"),
        (type("LazyFrame", (), {"__module__": "polars.lazyframe"})(), {}, "collect()"),
        (type("DataFrame", (_Frame,), {"__module__": "pandas"})(unique=False), {}, "two columns"),
    ],
)
def test_what_is_no_data_is_refused(data: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(JobArgumentError, match=re.escape(says)):
        records_input(data, **options)


def test_a_record_among_addresses_is_told_the_way() -> None:
    with pytest.raises(JobArgumentError, match=r"input\[0\] = {'a': 1}.*records_input"):
        plan_inputs([{"a": 1}], line_based=True)
    with pytest.raises(JobArgumentError, match="records need a map"):
        local.run("merged", records_input([1]), reduce=lambda pairs, params: pairs, nr_reduces=1)


def _row(row: Any, params: Any) -> list[tuple[Any, int]]:
    return [(row["name"], row["n"])]


def _line(line: str, params: Any) -> list[tuple[Any, int]]:
    return [(line, 0)]


def test_a_local_job_reads_records_beside_files() -> None:
    held = records_input([{"name": f"n{i}", "n": i} for i in range(20)], maps=4)
    job = local.run("rows", [(held, _row), "raw://x"], map=_line)
    assert sorted(result_iterator(job.wait())) == sorted([("x", 0), *((f"n{i}", i) for i in range(20))])


def test_records_that_somebody_has_changed_are_not_read() -> None:
    seal = JobSeal("j@20261129-000000-abcd", b"secret")
    [task] = records_input(["mine"], maps=1).tasks()
    sealed = seal_input(task, 0, seal)
    check_input(unpack_input(sealed), 0, seal)
    with pytest.raises(BadSignature):
        check_input(unpack_input(sealed.replace(b"mine", b"evil")), 0, seal)


def test_an_input_without_records_is_packed_as_before() -> None:
    assert Input("raw://a").pack() == ["raw://a", 0, None]


def test_a_table_of_arrow_comes_by_rows_and_its_moments_as_pythons() -> None:
    pa: Any = pytest.importorskip("pyarrow")
    moment = datetime(2026, 11, 29, tzinfo=UTC)
    table = pa.table({"at": pa.array([moment], pa.timestamp("ns", "UTC")), "n": [1]})
    [row] = read(records_input(table))
    assert row == {"at": moment, "n": 1}
    assert type(row["at"]) is datetime
    with pytest.raises(JobArgumentError, match=r"records_input: column 'at': .* would lose data"):
        records_input(pa.table({"at": pa.array([1], pa.timestamp("ns"))}))
    with pytest.raises(JobArgumentError, match="two columns of the table have one name"):
        records_input(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
