"""Names in an object store: markers, prefixes, and letters that are special elsewhere. A real server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from disco_rq import Disco, JobArgumentError, result_iterator
from disco_rq.func import at_start
from tests.cluster.conftest import Rows
from tests.cluster.s3server import S3Server


@pytest.fixture(scope="module")
def disco(s3: S3Server) -> Iterator[Disco]:
    """A cluster that knows the server."""
    with Disco(workers=1) as cluster:
        yield cluster


def ones(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def skip_header(entries: Iterator[str], params: Any) -> None:
    if at_start():
        next(entries)


def test_a_marker_of_a_folder_is_no_file(rows: Rows, s3: S3Server) -> None:
    s3.put({"marked/": b"", "marked/a.csv": b"id\n1\n", "empty/": b""})
    for address in ("marked", "marked/", "marked/*", "marked/**"):
        assert rows([f"s3://bucket/{address}"], map=ones, map_init=skip_header) == [("1", 1)]
    for address in ("empty", "empty/"):
        with pytest.raises(JobArgumentError, match="no files in it"):
            rows([f"s3://bucket/{address}"], map=ones)


def test_a_name_that_is_an_object_and_a_prefix_means_what_lies_below_with_a_slash(
    rows: Rows, s3: S3Server
) -> None:
    s3.put({"logs": b"", "logs/a.txt": b"a\n", "both": b"object\n", "both/a.txt": b"below\n"})
    assert rows(["s3://bucket/logs/"], map=ones) == [("a", 1)]
    with pytest.raises(
        JobArgumentError, match="an empty file and a directory: add / to read what lies in it"
    ):
        rows(["s3://bucket/logs"], map=ones)
    assert rows(["s3://bucket/both"], map=ones) == [("object", 1)]
    assert rows(["s3://bucket/both/"], map=ones) == [("below", 1)]


def test_hidden_files_and_markers_of_other_systems_are_left_out(rows: Rows, s3: S3Server) -> None:
    s3.put({f"h/{name}": b"no\n" for name in (".tmp/x.txt", "_SUCCESS", "_temporary/z.txt", ".a.crc")})
    s3.put({"h/y.txt": b"y\n", "h/d/z.txt": b"z\n"})
    assert rows(["s3://bucket/h/"], map=ones) == [("y", 1)]
    assert sorted(rows(["s3://bucket/h/**/*.txt"], map=ones)) == [("y", 1), ("z", 1)]
    assert sorted(rows(["s3://bucket/h/*"], map=ones)) == [("y", 1), ("z", 1)]
    assert rows(["s3://bucket/h/_SUCCESS"], map=ones) == [("no", 1)]


ODD = [
    "a b",
    "a+b",
    "a%20b",
    "a#b",
    "a&b=c",
    "A::B.log",
    "é",
    "日本",
    "a'b",
    'a"b',
    "a=1,b",
    "a;b",
    "a@b",
    "a:b",
]


def test_a_key_is_read_whatever_letters_it_has(rows: Rows, s3: S3Server) -> None:
    s3.put({f"odd/{key}/{key}": f"{key}\n".encode() for key in ODD})
    s3.put({"odd/two//slashes": b"two\n", "odd//one": b"one\n"})
    named = [f"s3://bucket/odd/{key}/{key}" for key in ODD]
    assert rows([*named, "s3://bucket/odd/two//slashes"], map=ones, nr_reduces=1) == [
        (key, 1) for key in [*ODD, "two"]
    ]
    below = [f"s3://bucket/odd/{key}/" for key in ODD[:6]]
    assert rows(below, map=ones, nr_reduces=1) == [(key, 1) for key in ODD[:6]]
    found = rows(["s3://bucket/odd/**"], map=ones, files_per_task=20)
    assert sorted(found) == sorted((key, 1) for key in [*ODD, "two", "one"])


def test_tasks_that_read_from_it_share_a_process(disco: Disco, s3: S3Server) -> None:
    s3.put({f"many/{i}": b"x\n" for i in range(8)})

    def where(line: str, params: Any) -> list[tuple[int, int]]:
        return [(os.getpid(), 1)]

    job = disco.new_job("shared", ["s3://bucket/many/"], map=where)
    assert len({pid for pid, _ in result_iterator(job.wait(timeout=60))}) == 1
