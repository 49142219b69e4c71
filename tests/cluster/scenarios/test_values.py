"""What goes through a job comes out as it went in: big numbers, any key, formats of its own."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from disco_rq import Disco, result_iterator
from disco_rq.func import kvgroup, object_reader, object_writer, re_reader
from tests.cluster.small_jobs import PATIENCE_S, pairs, run

PRIMES = [3, 5, 7, 11, 13, 17, 19, 23, 29, 31]
PRODUCT = math.prod(PRIMES) ** 10


def prime_files(directory: Path) -> list[str]:
    """A file for each prime, with ten lines of it."""
    paths = [directory / f"{prime}.txt" for prime in PRIMES]
    for prime, path in zip(PRIMES, paths, strict=True):
        path.write_text("\n".join([str(prime)] * 10))
    return [str(path) for path in paths]


def with_equals(line: str, params: Any) -> list[tuple[str, str]]:
    return [("=" + line, line)]


def multiply(pairs: Any, out: Any, params: Any) -> None:
    product = 1
    for key, value in pairs:
        assert key == "=" + value
        product *= int(value)
    out.add("result", product)


def test_one_reduce_multiplies_what_ten_maps_gave(disco: Disco, tmp_path: Path) -> None:
    job = run(disco, input=prime_files(tmp_path), map=with_equals, reduce=multiply, nr_reduces=1)

    assert pairs(job) == [("result", PRODUCT)]
    assert PRODUCT.bit_length() > 300
    assert job.jobinfo()["mapi"] == [0, 0, len(PRIMES), 0]


def test_writers_and_readers_of_the_jobs_own_carry_everything(disco: Disco, tmp_path: Path) -> None:
    def map_writer(fd: BinaryIO, key: str, value: str, params: Any) -> None:
        fd.write(f"{key}|{value}\n".encode())

    def reduce_reader(fd: BinaryIO, size: int | None, name: str) -> Iterator[list[str]]:
        for (line,) in re_reader(r"(.*?)\n", fd, size, name, output_tail=True):
            yield line.split("|")

    def reduce_writer(fd: BinaryIO, key: str, value: int, params: Any) -> None:
        fd.write(f"<{value}>".encode())

    def result_reader(fd: BinaryIO, size: int | None, name: str) -> Iterator[int]:
        yield int(fd.read()[1:-1])

    job = run(
        disco,
        input=prime_files(tmp_path),
        map=with_equals,
        map_writer=map_writer,
        reduce_reader=reduce_reader,
        reduce=multiply,
        reduce_writer=reduce_writer,
        nr_reduces=1,
    )

    assert list(result_iterator(job.wait(), reader=result_reader)) == [PRODUCT]


def test_a_map_reader_of_the_jobs_own_says_what_an_entry_is(disco: Disco, tmp_path: Path) -> None:
    def triples(fd: BinaryIO, size: int | None, name: str) -> Iterator[tuple[int | None, bytes]]:
        while piece := fd.read(3):
            yield size, piece

    path = tmp_path / "letters"
    path.write_bytes(b"aaabbb\n\n\ncc")

    job = run(disco, input=[str(path)], map=lambda entry, params: [entry], map_reader=triples)

    assert pairs(job) == [(11, b"aaa"), (11, b"bbb"), (11, b"\n\n\n"), (11, b"cc")]


class Angle:
    """Of a type that our own records do not hold."""

    def __init__(self, degrees: float) -> None:
        self.degrees = degrees


DATES = ["01/11/1965", "14/03/1983", "12/12/2002"]


def test_object_writers_and_readers_carry_any_object(disco: Disco, tmp_path: Path) -> None:
    def read_date(line: str, params: Any) -> list[tuple[Angle, datetime]]:
        return [(Angle(90), datetime.strptime(line, "%d/%m/%Y").replace(tzinfo=UTC))]

    def double(pairs: Any, out: Any, params: Any) -> None:
        for angle, date in pairs:
            out.add(Angle(angle.degrees * 2), date)

    path = tmp_path / "dates.txt"
    path.write_text("".join(f"{date}\n" for date in DATES * 10))
    writers: dict[str, Any] = {"map_writer": object_writer, "reduce_writer": object_writer}

    job = run(
        disco,
        input=[str(path)],
        map=read_date,
        reduce=double,
        reduce_reader=object_reader,
        nr_reduces=2,
        **writers,
        partition=lambda key, nr_reduces, params: int(key.degrees) % nr_reduces,
    )

    results = list(result_iterator(job.wait(), reader=object_reader))
    assert {(type(angle), angle.degrees) for angle, _ in results} == {(Angle, 180)}
    assert sorted(f"{date:%d/%m/%Y}" for _, date in results) == sorted(DATES * 10)


KEYS: list[Any] = [
    *("", " ", "a b", "a\tb", "a\nb", "a\0b", "ключ", "ключ ", "日本", "𝄞", "e\u0301", "\u00e9", "\udcff"),
    *(b"", b"a b", b"a\nb", b"\0", b"\0\0", b"\xff\x00\xfe", "ключ".encode()),
    *(None, 0, -1, 2**70, 0.5, ("ключ", b"\xff"), ("ключ",)),
]
"""All different, although some look alike."""


def test_any_text_and_any_bytes_are_keys(disco: Disco) -> None:
    def all_keys(entry: str, params: Any) -> Iterator[tuple[Any, Any]]:
        for key in params:
            yield key, (entry, key)

    def grouped(pairs: Any, params: Any) -> Iterator[tuple[Any, Any]]:
        for key, values in kvgroup(pairs):
            yield key, sorted(values)

    job = run(
        disco,
        input=["raw://ä", "raw://b"],
        map=all_keys,
        reduce=grouped,
        sort=True,
        nr_reduces=3,
        params=KEYS,
    )

    results = pairs(job)
    assert len(results) == len(KEYS)
    for key in KEYS:
        assert (key, [("b", key), ("ä", key)]) in results


MEGABYTES = 8


def megabytes(seed: str, form: type) -> Any:
    """A value of that size which no compression makes much smaller."""
    noise = hashlib.shake_128(seed.encode()).digest(MEGABYTES << 19).hex()
    return noise if form is str else noise.encode()


def test_values_of_megabytes_stream_through_a_job(disco: Disco, tmp_path: Path) -> None:
    def big_values(entry: str, params: Any) -> Iterator[tuple[str, Any]]:
        yield f"{entry} text", megabytes(entry, str)
        yield f"{entry} bytes", megabytes(entry, bytes)

    def passed(pairs: Any, params: Any) -> Iterator[tuple[str, Any]]:
        yield from pairs

    entries = ["one", "two", "three"]
    job = disco.new_job(
        "big", [f"raw://{entry}" for entry in entries], map=big_values, reduce=passed, nr_reduces=2, sort=True
    )

    seen = []
    for key, value in result_iterator(job.wait(timeout=PATIENCE_S)):
        entry, form = key.split()
        assert value == megabytes(entry, {"text": str, "bytes": bytes}[form])
        seen.append(key)
    assert sorted(seen) == sorted(f"{entry} {form}" for entry in entries for form in ("text", "bytes"))
    job.purge()


def test_lines_of_megabytes_are_entries_like_any_other(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text(f"short\n{megabytes('line', str)}\n\nend")

    job = run(disco, input=[str(path)], map=lambda line, params: [(line[:5], len(line))], split_size=1 << 20)

    assert sorted(pairs(job)) == sorted(
        [("short", 5), (megabytes("line", str)[:5], MEGABYTES << 20), ("", 0), ("end", 3)]
    )
