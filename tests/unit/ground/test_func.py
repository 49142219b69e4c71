"""The ready-made readers, writers, combiners and reduces."""

from __future__ import annotations

import io
import pickle
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cloudpickle
import pytest

from disco_rq import func
from disco_rq.errors import CorruptData, DataError
from disco_rq.records import RecordWriter
from disco_rq.records.writer import encode


def lines(data: bytes) -> list[str]:
    return list(func.map_line_reader(io.BytesIO(data), len(data), "f"))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"\n", [""]),
        (b"\n\n", ["", ""]),
        (b"a", ["a"]),
        (b"a\n", ["a"]),
        (b"a\nb", ["a", "b"]),
        (b"a\r\nb\x0bc\x85\xe2\x80\xa8d\n", ["a", "b\x0bc\udc85\u2028d"]),
        ("ä\n€\n".encode(), ["ä", "€"]),
        (b"caf\xe9\n", ["caf\udce9"]),
    ],
)
def test_lines_end_with_a_newline_and_nothing_else(data: bytes, expected: list[str]) -> None:
    assert lines(data) == expected


def test_lines_across_chunks_come_whole() -> None:
    rnd = random.Random(1)
    data = b"".join("€ä".encode() * rnd.choice([0, 1, 20, 60_000]) + b"\n" for _ in range(40)) + b"tail"
    assert lines(data) == data.decode().split("\n")


class Trickle(io.BytesIO):
    """Gives seven bytes at most."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(7 if size is None or size < 0 else min(size, 7))


def test_a_file_that_gives_little_at_a_time_is_read_all_the_same() -> None:
    data = "one line\nänd another\n\nlast".encode()
    assert list(func.map_line_reader(Trickle(data), None, "f")) == data.decode().split("\n")
    pairs = b"3 key 5 value\n0  0 \n"
    assert list(func.netstr_reader(Trickle(pairs), None, "f")) == [("key", "value"), ("", "")]


def written(writer: Any, *pairs: tuple[Any, Any]) -> bytes:
    file = io.BytesIO()
    for key, value in pairs:
        writer(file, key, value, None)
    return file.getvalue()


def test_netstrings_are_discos() -> None:
    assert (
        written(func.netstr_writer, ("key", 12), (b"\xff", "ä b\n")) == b"3 key 2 12\n1 \xff 5 \xc3\xa4 b\n\n"
    )


def test_netstrings_come_back_as_text() -> None:
    pairs = [("key", "value"), ("", ""), ("with space\n", "ä" * 300_000), ("\udcff", "1")]
    data = written(func.netstr_writer, *pairs)
    assert list(func.netstr_reader(io.BytesIO(data), len(data), "f")) == pairs


def test_objects_of_any_type_come_back() -> None:
    pairs = [(Path("a"), complex(1, 2)), ("k", [range(3)]), (None, b"\n 1 ")]
    data = written(func.object_writer, *pairs)
    assert list(func.object_reader(io.BytesIO(data), len(data), "f")) == pairs


def test_netstrings_that_are_cut_or_altered_are_data_errors_that_name_the_file() -> None:
    data = b"3 key 5 value\n1 a 1 b\n"
    for length in range(1, len(data)):
        if length == 14:
            continue
        with pytest.raises(DataError, match="http://f"):
            list(func.netstr_reader(io.BytesIO(data[:length]), None, "http://f"))
    for bad in (
        b"x key 5 value\n",
        b"4 key 5 value\n",
        b"-3 key 5 value\n",
        b"3 key 4 value\n",
        b" key 5 value\n",
    ):
        with pytest.raises(DataError, match="corrupted") as noticed:
            list(func.netstr_reader(io.BytesIO(bad), None, "http://f"))
        assert noticed.value.url == "http://f"


def test_the_regular_expression_reader_gives_the_groups_of_each_match() -> None:
    data = b"a=1;b=2;caf\xe9=3;rest"
    assert list(func.re_reader(r"(.*?)=(\d);", io.BytesIO(data), len(data), "f")) == [
        ("a", "1"),
        ("b", "2"),
        ("caf\udce9", "3"),
    ]


def test_its_tail_is_given_out_on_request() -> None:
    data = b"a;b;rest"
    assert list(func.re_reader("(.*?);", io.BytesIO(data), None, "f", output_tail=True)) == [
        ("a",),
        ("b",),
        ["rest"],
    ]
    assert list(func.re_reader("(.*?);", io.BytesIO(b"a;"), 2, "f", output_tail=True)) == [("a",)]


def test_items_longer_than_its_buffer_come_whole() -> None:
    data = ("ä" * 30_000 + ";") * 3
    read = func.re_reader("(.*?);", io.BytesIO(data.encode()), None, "f", read_buffer_size=8191)
    assert [item for (item,) in read] == ["ä" * 30_000] * 3


def test_it_reads_no_more_than_size_and_notices_less() -> None:
    assert list(func.re_reader("(.);", io.BytesIO(b"a;b;c;"), 4, "f")) == [("a",), ("b",)]
    with pytest.raises(DataError, match="8 bytes expected, 6 read"):
        list(func.re_reader("(.);", io.BytesIO(b"a;b;c;"), 8, "f"))


def test_an_expression_that_matches_nothing_does_not_hang() -> None:
    assert list(func.re_reader("(x*)", io.BytesIO(b"abc"), None, "f", output_tail=True)) == [["abc"]]


def test_the_chain_reader_gives_the_pairs_of_a_result(tmp_path: Path) -> None:
    with RecordWriter(tmp_path / "f", 2) as writer:
        writer.add(0, encode(["a"], [(1, None)], grouped=False))
        writer.add(1, encode(["b"], [[1, 2]], grouped=True))
    with open(tmp_path / "f", "rb") as file:
        assert list(func.chain_reader(file, None, "f")) == [("a", (1, None)), ("b", 1), ("b", 2)]
    with pytest.raises(CorruptData, match=r"notes\.txt"):
        list(func.chain_reader(io.BytesIO(b"just some text, not our format"), None, "notes.txt"))


class Out:
    def __init__(self) -> None:
        self.pairs: list[Any] = []

    def add(self, key: Any, value: Any) -> None:
        self.pairs.append((key, value))

    def extend(self, pairs: Iterable[Any]) -> None:
        self.pairs += pairs


def test_the_ready_made_maps_and_reduces_do_what_they_say() -> None:
    assert func.nop_map(("k", 1), None) == [("k", 1)]
    out = Out()
    func.nop_reduce([("b", 1), ("a", 2)], out, None)
    assert out.pairs == [("b", 1), ("a", 2)]
    out = Out()
    func.sum_reduce([("b", 1), ("a", 2), ("b", 0.5)], out, None)
    assert out.pairs == [("b", 1.5), ("a", 2)]


def test_the_sum_combiner_sums_until_it_is_done() -> None:
    buffer: dict[str, int] = {}
    for key, value in (("a", 1), ("b", 2), ("a", 3)):
        assert func.sum_combiner(key, value, buffer, False, None) is None
    assert list(func.sum_combiner(None, None, buffer, True, None) or ()) == [("a", 4), ("b", 2)]


def test_a_range_partition_can_be_shipped() -> None:
    shipped = pickle.loads(cloudpickle.dumps(func.make_range_partition(0, 10)))
    assert [shipped(key, 2, None) for key in (0, 4, 5, 10)] == [0, 0, 1, 1]
