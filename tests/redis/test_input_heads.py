"""Whoever looks at a job's inputs is told of all of them, and is not sent the records in them."""

from __future__ import annotations

from typing import Any

import pytest

from disco_rq import records_input
from disco_rq.model import Input, JobSpec, MapInput
from disco_rq.store.browsing import BrowseStore
from disco_rq.store.connection import Connection
from disco_rq.store.inputheads import HEAD_BYTES, input_heads
from disco_rq.store.jobs import JobStore
from tests.redis.story import JOB, lead

RECORDS = [{"n": number, "text": "x" * 1000} for number in range(3000)]


def submit(connection: Connection, inputs: list[MapInput]) -> None:
    lead(connection)
    spec = JobSpec(JOB, nr_maps=len(inputs), nr_reduces=0, has_map=True, has_reduce=False)
    assert JobStore(connection).submit(spec, b"pack", inputs)


@pytest.mark.parametrize("side", [None, 1])
def test_records_are_told_by_their_addresses(connection: Connection, side: int | None) -> None:
    held = [MapInput(task.parts, side=side) for task in records_input(RECORDS, maps=2).tasks()]
    submit(connection, [*held, MapInput(((Input("raw://a"),),)), *records_input(["small"]).tasks()])

    found = JobStore(connection).inputs(JOB, 100)

    assert [entry.urls() for entry in found] == [
        ["records://0-1499"],
        ["records://1500-2999"],
        ["raw://a"],
        ["records://0-0"],
    ]
    assert [entry.parts[0][0].data for entry in found[:2]] == [None, None]
    one: Any = BrowseStore(connection).input(JOB, 1)
    assert one.urls() == ["records://1500-2999"]


def test_of_very_many_files_of_one_map_those_come_that_lie_in_its_first_bytes(connection: Connection) -> None:
    parts = tuple(
        (Input(f"/a/file-{number:07}-\udce4"), Input(f"http://b/{number}", 0, None)) for number in range(9000)
    )
    submit(connection, [MapInput(parts, side=0)])

    [(_, found)] = input_heads(connection, JOB, [0])

    assert 1000 < len(found.parts) < 9000
    assert found.parts[:1000] == parts[:1000]


def test_they_end_where_there_is_much_of_them(connection: Connection) -> None:
    submit(connection, [MapInput(((Input("raw://" + "x" * 1000),),)) for _ in range(10)])
    assert [index for index, _ in input_heads(connection, JOB, range(3, 20), most_bytes=5000)] == [3, 4, 5, 6]


def test_what_is_no_input_is_left_out(connection: Connection) -> None:
    submit(connection, [MapInput(((Input("raw://a"),),))])
    key: Any = f"disco:job:{JOB}:inputs"
    connection.redis.hset(key, "1", b"\xc1" * (HEAD_BYTES + 1))
    connection.redis.hset(key, "2", b"no msgpack")
    assert [index for index, entry in input_heads(connection, JOB, range(5)) if entry.parts] == [0]
