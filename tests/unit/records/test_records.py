"""Record files: what goes in comes back, of the same type, in the same order."""

from __future__ import annotations

import enum
import io
import math
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from disco_rq.errors import CorruptData, RecordTypeError, TaskError
from disco_rq.func import netstr_reader
from disco_rq.records import FileSource, PairBatch, RecordWriter, batches, read_index, read_pairs, read_with
from disco_rq.records.blocks import Kind, read_blocks
from disco_rq.records.typed import pack_columns, unpack_columns
from disco_rq.records.writer import EncodedBlock, encode
from disco_rq.shuffle.cutting import Cutter


def write(path: Path, *partitions: list[tuple[Any, Any]]) -> None:
    with RecordWriter(path, len(partitions)) as writer:
        for partition, pairs in enumerate(partitions):
            if pairs:
                writer.add(partition, encode([k for k, _ in pairs], [v for _, v in pairs], grouped=False))


def same(left: Any, right: Any) -> bool:
    """Equal, of the same types all the way down; NaN is the same as NaN."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        if math.isnan(left) and math.isnan(right):  # whatever their signs: all NaNs are one
            return True
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict):
        return len(left) == len(right) and all(map(same, left.items(), right.items()))
    if isinstance(left, datetime):
        return bool(left == right and left.fold == right.fold and left.utcoffset() == right.utcoffset())
    return bool(left == right)


EXAMPLES: list[Any] = [
    None,
    True,
    False,
    *(0, -1, 2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**400, -(10**400)),
    *(0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, 5e-324),
    *("", "word", "smörgås \U0001f600", "\x00", "\udcff raw \udc80", "\ud83d\ude00", "\ud800"),
    *(b"", b"\xff\x00"),
    *([], [1, [2, (3,)]], (), (1, [2, (3,)]), ((), [])),
    *({}, {"a": 1, 2: [3], (1, 2): {}, None: (), b"x": {1: 2}, frozenset([1]): set()}),
    *(set(), {1, "a", (2, 3)}, frozenset(), frozenset([frozenset([1]), None])),
    *(datetime(2026, 1, 2, 3, 4, 5, 6), datetime.min, datetime.max, datetime(1, 1, 1, fold=1)),  # noqa: DTZ001, DTZ901
    datetime(2026, 1, 2, tzinfo=UTC),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-3, minutes=-30, microseconds=7))),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=1), "CET")),
    datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
]


def shown(value: Any) -> str:
    """The same in each process, as sets are not."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__} of {len(value)}"
    return repr(value)[:30]


@pytest.mark.parametrize("value", EXAMPLES, ids=shown)
def test_a_value_comes_back_as_it_went_in_as_key_and_as_value_and_nested(value: Any, tmp_path: Path) -> None:
    pairs = [(value, value), ("key", [value]), ((value,), (value, [value])), (1, {"v": value})]
    write(tmp_path / "f", pairs)
    assert same(list(read_pairs(tmp_path / "f")), pairs)


def test_a_named_time_zone_keeps_its_name(tmp_path: Path) -> None:
    write(tmp_path / "f", [(1, EXAMPLES[-2]), (2, EXAMPLES[-1]), (3, EXAMPLES[-4])])
    (_, cet), (_, berlin), (_, utc) = read_pairs(tmp_path / "f")
    assert (cet.tzname(), berlin.tzinfo.key, utc.tzinfo) == ("CET", "Europe/Berlin", UTC)


def test_pairs_of_all_types_come_back_from_one_block(tmp_path: Path) -> None:
    pairs = [(value, index) for index, value in enumerate(EXAMPLES)] * 3
    write(tmp_path / "f", pairs)
    assert same(list(read_pairs(tmp_path / "f")), pairs)


Point = namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Word(str):
    __slots__ = ()


class Zone(tzinfo):
    def utcoffset(self, _: datetime | None) -> timedelta:
        return timedelta(0)

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        return "mine"


class Moment(datetime):
    pass


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (object(), "object"),
        (1j, "complex"),
        (Point(1, 2), "Point"),
        (Colour.RED, "Colour"),
        (Word("a"), "Word"),
        (OrderedDict(a=1), "collections.OrderedDict"),
        (bytearray(b"a"), "bytearray"),
        (memoryview(b"a"), "memoryview"),
        (msgpack.ExtType(1, b""), "ExtType"),
        (msgpack.Timestamp(1), "Timestamp"),
        (complex(1), "complex"),
        (datetime(2026, 1, 1, tzinfo=Zone()), "Zone"),
        (Moment(2026, 1, 1), "Moment"),
        (range(3), "range"),
    ],
)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v], lambda v: (1, v), lambda v: {"a": {"b": v}}])
def test_any_other_type_is_refused_by_name_with_the_remedy(value: Any, name: str, wrap: Any) -> None:
    with pytest.raises(RecordTypeError, match=name) as refused:
        encode(["key"], [wrap(value)], grouped=False)
    assert "object_writer" in str(refused.value)
    with pytest.raises(RecordTypeError, match=name):
        encode(["key"], [[1, wrap(value)]], grouped=True)


@pytest.mark.parametrize("wrap", [lambda v: (1, v), lambda v: [(v,)], lambda v: frozenset({v})])
def test_what_can_be_written_can_be_read_however_deep_it_is(wrap: Any) -> None:
    """Reading has a C stack that ends somewhere, with the process."""
    deep: Any = ()
    for _ in range(63):
        deep = wrap(deep)
    data = pack_columns([1], [[deep]], grouped=False)
    assert unpack_columns(data, grouped=False) == ([1], [[deep]])

    with pytest.raises(RecordTypeError, match=r"nested too deeply .* at most 64 tuples and sets"):
        encode([1], [[wrap(deep)]], grouped=False)


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(RecordTypeError, match="nested too deeply"):
        encode([1], [loop], grouped=False)
    deep: Any = ()
    for _ in range(5000):
        deep = (deep,)
    with pytest.raises(RecordTypeError, match="nested too deeply"):
        encode([1], [deep], grouped=False)


def test_each_partition_is_read_for_itself_and_all_in_their_order(tmp_path: Path) -> None:
    write(tmp_path / "f", [("a", 1)], [], [("b", 2), ("c", 3)], [])
    source = FileSource(tmp_path / "f", "disco://n/f")
    read = [[batch.keys for batch in batches(source.blocks(index), source.name)] for index in range(4)]
    assert read == [[["a"]], [], [["b", "c"]], []]
    assert list(read_pairs(tmp_path / "f")) == [("a", 1), ("b", 2), ("c", 3)]
    assert [place.size for place in read_index(tmp_path / "f")] == [1, 0, 2, 0]


def test_a_file_without_pairs_is_fine(tmp_path: Path) -> None:
    write(tmp_path / "f", [])
    assert list(read_pairs(tmp_path / "f")) == []


def test_groups_come_back_as_groups_and_read_as_pairs(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "f") as writer:
        writer.add(0, encode(["a", (1, 2)], [[1, 2], [(3,), (4,)]], grouped=True))
    source = FileSource(tmp_path / "f", "f")
    assert list(batches(source.blocks(0), "f")) == [PairBatch(["a", (1, 2)], [[1, 2], [(3,), (4,)]], True)]
    assert list(read_pairs(tmp_path / "f")) == [("a", 1), ("a", 2), ((1, 2), (3,)), ((1, 2), (4,))]
    assert writer.size == 4


def test_a_stream_that_cannot_seek_and_gives_a_byte_at_a_time_is_read(tmp_path: Path) -> None:
    class Dripping(io.RawIOBase):
        def __init__(self, data: bytes) -> None:
            self.data = io.BytesIO(data)

        def read(self, size: int = -1) -> bytes:
            return self.data.read(min(size, 1))

    write(tmp_path / "f", [("a", 1)], [("b", 2)])
    dripping: Any = Dripping((tmp_path / "f").read_bytes())
    assert list(read_pairs(dripping, "name")) == [("a", 1), ("b", 2)]


def test_the_index_says_which_bytes_are_a_partition_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "f", [("a", 1)], [("b", 2)])
    place = read_index(tmp_path / "f")[1]
    body = io.BytesIO((tmp_path / "f").read_bytes()[place.offset : place.offset + place.length])
    assert [batch.keys for batch in batches(read_blocks(body, 1, "http://n/f"), "f")] == [["b"]]
    assert body.read() == b""


def test_partitions_are_written_in_ascending_order_only(tmp_path: Path) -> None:
    writer = RecordWriter(tmp_path / "f", 2)
    writer.add(1, encode([1], [1], grouped=False))
    with pytest.raises(ValueError, match="partition 0"):
        writer.add(0, encode([1], [1], grouped=False))
    writer.close()


def test_a_users_bytes_come_back_as_one_stream_for_their_reader(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "f") as writer:
        for piece in (b"1 a 1", b" b\n2 cc ", b"1 d\n"):
            writer.add(0, EncodedBlock(Kind.OPAQUE, len(piece), piece))
    assert list(read_with(netstr_reader, tmp_path / "f")) == [("a", "b"), ("cc", "d")]
    with pytest.raises(TaskError, match="takes a reader"):
        list(read_pairs(tmp_path / "f"))


def test_typed_pairs_need_no_reader(tmp_path: Path) -> None:
    write(tmp_path / "f", [("a", 1)])
    with pytest.raises(TaskError, match="without a reader"):
        list(read_with(netstr_reader, tmp_path / "f"))


def test_a_missing_file_is_corrupt_data_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(CorruptData, match="disco://n/gone") as missing:
        list(FileSource(tmp_path / "gone", "disco://n/gone").blocks(0))
    assert missing.value.url == "disco://n/gone"


def test_a_partition_that_the_file_does_not_have_is_named(tmp_path: Path) -> None:
    write(tmp_path / "f", [("a", 1)])
    with pytest.raises(CorruptData, match="1 partitions, no partition 1"):
        list(FileSource(tmp_path / "f", "f").blocks(1))


def test_repetitive_pairs_are_compressed(tmp_path: Path) -> None:
    write(tmp_path / "f", [("the same word", 1)] * 10_000)
    assert (tmp_path / "f").stat().st_size < 5_000


@pytest.mark.parametrize("nr_values", [0, 1, 511, 512, 513, 100_000])
def test_a_long_group_is_cut_and_nothing_of_it_is_lost(nr_values: int) -> None:
    groups = [("a", [0]), ("long", list(range(nr_values))), ("z", [9, 9])]
    keys, values = [k for k, _ in groups], [v for _, v in groups]
    blocks = list(Cutter().blocks(PairBatch(keys, values, True)))
    assert sum(block.size for block in blocks) == nr_values + 3
    got = [
        (key, value)
        for block in blocks
        for key, group in zip(*unpack_columns(block.data, grouped=True), strict=True)
        for value in group
    ]
    assert got == [(key, value) for key, group in groups for value in group]


def test_blocks_come_out_at_one_size_whatever_the_pairs_weigh() -> None:
    for weight in (1, 100, 10_000):
        pairs = max(1_000_000 // weight, 100)
        sizes = [
            len(block.data)
            for block in Cutter().blocks(PairBatch(list(range(pairs)), ["x" * weight] * pairs, False))
        ]
        assert all(size <= 300_000 for size in sizes[1:-1])


leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**200), max_value=2**200)
    | st.floats()
    | st.text(st.characters(codec=None, exclude_categories=()))
    | st.binary()
    | st.datetimes()
    | st.datetimes(timezones=st.timezones() | st.just(UTC), allow_imaginary=False)
)
hashables = st.recursive(
    leaves.filter(lambda leaf: leaf == leaf),  # a NaN is in no set twice, nor found again
    lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
    max_leaves=8,
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(hashables, inner, max_size=4)
        | st.sets(hashables, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(values, values), max_size=20))
def test_whatever_the_pairs_they_come_back_as_they_went_in(pairs: list[tuple[Any, Any]]) -> None:
    data = pack_columns([k for k, _ in pairs], [v for _, v in pairs], grouped=False)
    assert same(list(zip(*unpack_columns(data, grouped=False), strict=True)), pairs)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(values, st.lists(values, max_size=3)), max_size=10))
def test_whatever_the_groups_they_come_back_as_they_went_in(groups: list[tuple[Any, list[Any]]]) -> None:
    data = pack_columns([k for k, _ in groups], [v for _, v in groups], grouped=True)
    assert same(list(zip(*unpack_columns(data, grouped=True), strict=True)), groups)
