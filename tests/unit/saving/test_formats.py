"""The formats of saved results: what they hold comes back; what they do not is refused by name."""

from __future__ import annotations

import csv
import datetime
import gzip
import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pyarrow
import pyarrow.parquet
import pytest
import zstandard

from disco_rq import func, result_iterator
from disco_rq.errors import CorruptData, DataError, RecordTypeError
from disco_rq.records import RecordWriter
from disco_rq.records.blocks import Kind
from disco_rq.records.typed import pack_columns
from disco_rq.records.writer import EncodedBlock
from disco_rq.saving import FORMATS, read_saved
from disco_rq.saving.parquet import write_parquet
from tests.unit.readers.pieces import read

PAIRS_FORMATS = ["msgpack", "jsonl", "text", "csv", "parquet"]
PACKED_FORMATS = [f"{format}.{packing}" for format in ("jsonl", "text", "csv") for packing in ("gz", "zst")]


def record_file(directory: Path, pairs: list[tuple[Any, Any]], at_once: int = 1_000_000) -> Path:
    path = directory / "records"
    with RecordWriter(path) as writer:
        for start in range(0, len(pairs), at_once):
            some = pairs[start : start + at_once]
            keys, values = [key for key, _ in some], [value for _, value in some]
            writer.add(0, EncodedBlock(Kind.PAIRS, len(some), pack_columns(keys, values, grouped=False)))
    return path


def saved(directory: Path, format: str, pairs: list[tuple[Any, Any]]) -> Path:
    made = directory / f"part-00000{FORMATS[format].extension}"
    file = FORMATS[format].write(record_file(directory, pairs), made)
    return file if file == made else file.rename(made)


NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001  without a zone is a type of its own


NEW_YORK = ZoneInfo("America/New_York")
HELD = [
    *(1 << 90, -(10**75), Decimal("-12.50"), datetime.date(2026, 1, 2), datetime.time(1, 2, 3, 4)),
    *(datetime.timedelta(days=-1, microseconds=1), UUID(int=7), (1, "a"), frozenset("a"), (), float("-inf")),
    *(NOW.replace(tzinfo=datetime.UTC), NOW.replace(tzinfo=NEW_YORK)),
    NOW.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-2), "X")),
    NOW.replace(tzinfo=datetime.timezone(datetime.timedelta(seconds=5))),
    datetime.datetime(2026, 11, 1, 1, 30, tzinfo=NEW_YORK, fold=1),
]
"""What Parquet has no type for, or which pyarrow gives back as something else."""


@pytest.mark.parametrize(
    ("format", "pairs"),
    [
        *((format, []) for format in PAIRS_FORMATS + PACKED_FORMATS),
        *((format, [("a", "1"), ("ä\r", " x ")]) for format in PAIRS_FORMATS + PACKED_FORMATS),
        ("jsonl", [(None, True), (1 << 90, 1.5), ("\udcff\n\t", [1, {"a": None}]), ("1", -0.0)]),
        ("text", [("\udcff", "a\tb"), ("", "")]),
        ("text", [("n", "1" + "0" * 5000)]),
        ("csv", [('"a\r\n,\t', "'\n\r"), ("", ""), ("\udcff", "\0"), ("key", "value")]),
        ("csv", [("a", {"\udcff": "x"})]),
        ("csv", [("a", {"name": "x", "n,r": ""}), ("b", {"name": "", "n,r": '"'})]),
        ("parquet", [(1, None), (2, [1, 2]), (3, [])]),
        ("parquet", [(b"a", 1.5), (None, None), (b"", float("inf"))]),
        ("parquet", [(NOW, True), (NOW, False)]),
        *(("parquet", [(item, [item]), (None, [])]) for item in HELD),
        ("parquet", [((1, "a"), {"n": 1}), ((2, "b"), {"m": (1, {2})})]),
        ("parquet", [((1,), {}), ((1, 2), {}), ((), {})]),
        ("parquet", [(1, {1: "x"}), (2, {2: "y", 3: None}), (3, {})]),
        ("parquet", [(i, None if i < 15_000 else "late") for i in range(25_000)]),
    ],
)
def test_what_a_format_holds_comes_back_as_it_went_in(
    tmp_path: Path, format: str, pairs: list[tuple[Any, Any]]
) -> None:
    got = list(read_saved(str(saved(tmp_path, format, pairs))))

    assert repr(got) == repr(pairs)


MANY_DIGITS = pytest.param(
    "jsonl", 10**5000, "a value with the type int of more than 4300 digits (of key 'key')", id="digits"
)


@pytest.mark.parametrize(
    ("format", "value", "says"),
    [
        ("jsonl", b"", "jsonl does not hold a value with the type bytes"),
        ("jsonl", (1,), "jsonl does not hold a value with the type tuple"),
        ("jsonl", [{"a": {1}}], "jsonl does not hold a value with the type set"),
        ("jsonl", NOW, "jsonl does not hold a value with the type datetime"),
        ("jsonl", {1: 2}, "the type dict with keys that are not str"),
        ("jsonl", float("nan"), "jsonl does not hold a value with the type float, nan (of key 'key')"),
        MANY_DIGITS,
        ("text", None, "text does not hold a value with the type NoneType"),
        ("text", b"", "text does not hold a value with the type bytes"),
        ("text", "a\nb", "text does not hold a str with a newline"),
        ("text", "a\r", "text does not hold a str with a newline, a value that ends with a return"),
        ("csv", None, "csv does not hold a value with the type NoneType (of key 'key')"),
        ("csv", [1], "csv does not hold a value with the type list"),
        ("csv", True, "csv does not hold a value with the type bool"),
        ("csv", "cut \ud83d", "csv does not hold a value with the type str with half of a surrogate pair"),
        ("csv", {"a": [1]}, "csv does not hold a value['a'] with the type list (of key 'key')"),
        ("csv", {"value": 1}, "dict with the names ['value'], which would not come back (of key 'key')"),
        ("csv", {}, "dict with the names [], which would not come back (of key 'key')"),
        ("csv", {"key": 1}, "dict with the name 'key', which is no column of its own (of key 'key')"),
        ("csv", {1: 1}, "dict with keys that are not str (of key 'key')"),
        ("parquet", 10**76, "a value with the type int of more than 76 digits (of key 'key')"),
        ("parquet", [1, "a"], "a value with the type str in one column with int (of key 'key')"),
        ("parquet", Decimal("NaN"), "a value with the type Decimal, NaN (of key 'key')"),
        ("parquet", datetime.timedelta.max, "the type timedelta of more than 292,000 years (of key 'key')"),
        ("parquet", datetime.datetime.max.replace(tzinfo=NEW_YORK), "at an end of the calendar (of key"),
        ("text", "cut \ud83d", "text does not hold a value with the type str with half of a surrogate pair"),
        ("parquet", "caf\udce9", "parquet does not hold a value with the type str that UTF-8 cannot hold"),
        ("parquet", datetime.time(1, tzinfo=datetime.UTC), "the type time and a time zone (of key 'key')"),
    ],
)
def test_what_a_format_does_not_hold_is_refused_by_name(
    tmp_path: Path, format: str, value: Any, says: str
) -> None:
    with pytest.raises(RecordTypeError) as caught:
        saved(tmp_path, format, [("key", value)])
    assert says in str(caught.value)


BOTH_HALVES = "\ud83d\ude00"
ESCAPED_UTF_8 = "\udcc3\udca9"


@pytest.mark.parametrize(
    ("format", "item"),
    [
        ("jsonl", BOTH_HALVES),
        ("jsonl", [{"a": BOTH_HALVES}]),
        ("jsonl", {BOTH_HALVES: 1, "\U0001f600": 2}),
        *((format, text) for format in ("text", "csv") for text in (BOTH_HALVES, ESCAPED_UTF_8)),
        *(("csv", held) for held in ({"a": ESCAPED_UTF_8}, {ESCAPED_UTF_8: "a"})),
    ],
)
def test_text_that_would_come_back_as_another_character_is_refused(
    tmp_path: Path, format: str, item: Any
) -> None:
    with pytest.raises(
        RecordTypeError, match=rf"{format} does not hold a value with the type .* \(of key 'k'\)"
    ):
        saved(tmp_path, format, [("k", item)])
    if type(item) is str:
        with pytest.raises(RecordTypeError, match=f"{format} does not hold a key with the type str with"):
            saved(tmp_path, format, [(item, "v")])


@pytest.mark.parametrize("format", ["jsonl", "text", "csv"])
def test_bytes_that_are_no_utf_8_come_back_beside_text_that_is(tmp_path: Path, format: str) -> None:
    pairs = [("\udcff", "é"), ("é\udcc3", "\udca9 \udcff"), ("plain", "\U0001f600")]
    assert list(read_saved(str(saved(tmp_path, format, pairs)))) == pairs


def test_text_holds_ints_of_any_size(tmp_path: Path) -> None:
    assert saved(tmp_path, "text", [("n", 10**5000)]).read_text() == "n\t1" + "0" * 5000 + "\n"


def test_a_refusal_names_the_key_of_the_value_that_is_not_held(tmp_path: Path) -> None:
    with pytest.raises(RecordTypeError, match=r"type str in one column with int \(of key 'c'\)"):
        saved(tmp_path, "parquet", [("a", 1), ("b", None), ("c", "x"), ("d", 2)])
    with pytest.raises(RecordTypeError, match=r"a key with the type bytes in one .* \(of key b'b'\)"):
        saved(tmp_path, "parquet", [("a", 1), (b"b", 2)])
    with pytest.raises(RecordTypeError, match=r"\(of key <int that cannot be shown: ValueError>\)"):
        saved(tmp_path, "jsonl", [(10**5000, 1)])


def test_parquet_gives_back_what_is_equal_where_a_column_has_one_zone_or_one_scale(tmp_path: Path) -> None:
    """Moments of several zones come back in UTC, decimals with as many digits as the longest."""
    zones = [datetime.datetime(2026, 7, 1, tzinfo=zone) for zone in (NEW_YORK, ZoneInfo("Asia/Tokyo"))]
    decimals = [Decimal("1.5"), Decimal("1E+3")]

    got = list(read_saved(str(saved(tmp_path, "parquet", list(zip(zones, decimals, strict=True))))))

    assert got == list(zip(zones, decimals, strict=True))
    assert [str(moment.tzinfo) for moment, _ in got] == ["UTC", "UTC"]
    assert [str(number) for _, number in got] == ["1.5", "1000.0"]


def test_parquet_is_written_some_bytes_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("disco_rq.saving.parquet._BYTES", 50_000)
    pairs = [(i, "x" * 1000) for i in range(1000)]
    made = tmp_path / "made.parquet"
    with open(made, "wb") as file:
        write_parquet(record_file(tmp_path, pairs, at_once=10), file)

    assert 15 <= pyarrow.parquet.ParquetFile(made).num_row_groups <= 25
    assert list(read_saved(str(made))) == pairs


def test_others_see_types_of_parquet(tmp_path: Path) -> None:
    moment, number = NOW.replace(tzinfo=NEW_YORK), Decimal("1.50")
    made = saved(tmp_path, "parquet", [(moment, {"price": number, "tags": {"a"}, "at": (1, "x")})])

    table = pyarrow.parquet.read_table(made)

    assert table.schema.field("key").type == pyarrow.timestamp("us", "America/New_York")
    [value] = table.column("value").to_pylist()
    assert value == {"price": number, "tags": ["a"], "at": {"_0": 1, "_1": "x"}}


def test_the_reader_of_parquet_gives_types_of_parquet_to_the_next_job(tmp_path: Path) -> None:
    pairs = [((1, "a"), {"set": {1}, "map": {1: 2}, "large": 2**64}), ((2, "b"), {"less": 3})]

    rows = read(saved(tmp_path, "parquet", pairs), func.parquet_reader())

    large = {"set": [1], "map": [{"key": 1, "value": 2}], "large": Decimal(2**64), "less": None}
    assert rows == [
        {"key": {"_0": 1, "_1": "a"}, "value": large},
        {"key": {"_0": 2, "_1": "b"}, "value": {"set": None, "map": None, "large": None, "less": 3}},
    ]


def test_dicts_that_parquet_would_give_back_alike_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecordTypeError, match=r"some dicts have no 'a', .* it is None \(of key 2\)"):
        saved(tmp_path, "parquet", [(1, {"a": None}), (2, {})])


@pytest.mark.parametrize("values", [[1, 2.5], [1, True], ["a", b"a"], [None, 1] * 6000 + ["a"]])
def test_a_parquet_column_has_one_type(tmp_path: Path, values: list[Any]) -> None:
    with pytest.raises(RecordTypeError, match="parquet"):
        saved(tmp_path, "parquet", [("key", value) for value in values])


def test_a_text_key_has_no_tab(tmp_path: Path) -> None:
    with pytest.raises(RecordTypeError, match="nor a key with a tab"):
        saved(tmp_path, "text", [("a\tb", "")])


def test_records_of_csv_have_the_columns_of_the_first_one(tmp_path: Path) -> None:
    with pytest.raises(RecordTypeError, match=r"dict with other names than the first one \(of key 'b'\)"):
        saved(tmp_path, "csv", [("a", {"x": 1}), ("b", {"y": 1})])
    with pytest.raises(RecordTypeError, match=r"type int, where the first one was another \(of key 'b'\)"):
        saved(tmp_path, "csv", [("a", {"x": 1}), ("b", 1)])
    with pytest.raises(RecordTypeError, match=r"type dict, where the first one was another \(of key 'b'\)"):
        saved(tmp_path, "csv", [("a", 1), ("b", {"x": 1})])


def test_csv_has_numbers_as_python_writes_them(tmp_path: Path) -> None:
    made = saved(tmp_path, "csv", [(1, {"x": 1e100, "y": 10**5000}), (-0.5, {"y": 2, "x": 3.0})])

    with open(made, newline="") as file:
        assert list(csv.reader(file)) == [
            ["key", "x", "y"],
            ["1", "1e+100", "1" + "0" * 5000],
            ["-0.5", "3.0", "2"],
        ]


@pytest.mark.parametrize(
    ("format", "unpack"),
    [
        ("text.gz", gzip.decompress),
        ("text.zst", lambda data: zstandard.ZstdDecompressor().stream_reader(data).read()),
    ],
)
def test_others_can_unpack_what_is_packed(tmp_path: Path, format: str, unpack: Any) -> None:
    made = saved(tmp_path, format, [("ä", i) for i in range(10_000)])

    assert made.name == f"part-00000.txt.{format[5:]}"
    assert unpack(made.read_bytes()).decode() == "".join(f"ä\t{i}\n" for i in range(10_000))
    assert made.read_bytes() == saved(tmp_path, format, [("ä", i) for i in range(10_000)]).read_bytes()


@pytest.mark.parametrize("format", [*PAIRS_FORMATS, *PACKED_FORMATS])
@pytest.mark.parametrize("renamed", ["part", "part.gz", "part.data", "part.parquet.data"])
def test_a_saved_file_is_read_by_what_it_is(tmp_path: Path, format: str, renamed: str) -> None:
    made = saved(tmp_path, format, [("a", "1"), ("b", "2")])
    if renamed == "part.gz" and not format.endswith((".gz", ".zst")):
        renamed = "part.gz.data"  # .gz says that it is compressed, and damaged where it is not
    named = str(made.rename(tmp_path / renamed))

    assert list(read_saved(named)) == [("a", "1"), ("b", "2")]


@pytest.mark.parametrize("format", PAIRS_FORMATS)
def test_what_somebody_compressed_later_is_read(tmp_path: Path, format: str) -> None:
    made = saved(tmp_path, format, [("a", "1")])
    packed = made.with_name(f"{made.name}.gz")
    packed.write_bytes(gzip.compress(made.read_bytes()))

    assert list(read_saved(str(packed))) == [("a", "1")]


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n\t", b"", b"only words\n", b'{"a": 1}\n', b"a,b\n1,2\n"]
)
def test_what_no_job_saves_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "part-00000"
    path.write_bytes(content)

    with pytest.raises(DataError) as caught:
        list(read_saved(str(path)))
    assert "holds nothing that a job saves" in str(caught.value)
    assert str(path) in str(caught.value)
    assert repr(content[:20]) in str(caught.value)


def test_a_csv_of_somebody_else_is_named_with_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("name,age\nx,1\n")

    with pytest.raises(CorruptData, match=r"people.csv is no CSV of saved pairs: its columns are .*'age'"):
        list(read_saved(str(path)))


def test_others_can_read_the_lines(tmp_path: Path) -> None:
    assert json.loads(saved(tmp_path, "jsonl", [("ä", 1)]).read_text()) == {"key": "ä", "value": 1}
    assert saved(tmp_path, "text", [("ä", 1)]).read_text() == "ä\t1\n"


@pytest.mark.parametrize("format", PAIRS_FORMATS + PACKED_FORMATS)
def test_a_saved_file_that_is_cut_is_named(tmp_path: Path, format: str) -> None:
    path = saved(tmp_path, format, [("a", "1"), ("b", "2")])
    os.truncate(path, path.stat().st_size - 1 - 3 * (format == "jsonl"))

    with pytest.raises(DataError if "." in format else CorruptData) as caught:
        list(result_iterator([str(path)]))
    assert str(path) in str(caught.value)


def test_a_saved_file_that_is_gone_and_one_of_no_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*/part-00000.jsonl: No such file"):
        list(result_iterator([f"{tmp_path}/part-00000.jsonl"]))
    (tmp_path / "x.data").write_text("words")
    with pytest.raises(DataError, match=r"it holds nothing that a job saves .*b'words' .*/x.data"):
        list(result_iterator([tmp_path / "x.data"]))


@pytest.mark.parametrize("format", ["jsonl", "text", "csv", "parquet", "msgpack", "jsonl.gz", "csv.zst"])
def test_results_are_streamed(tmp_path: Path, format: str) -> None:
    """The first pair is there before the last is read: it is not looked at, whatever it is."""
    made = saved(tmp_path, format, [(str(i), "x" * 1000) for i in range(3000)])
    found = result_iterator([str(made), str(tmp_path / "part-00001.txt")])

    assert next(found) == ("0", "x" * 1000)
    found.close()  # type: ignore[attr-defined]
