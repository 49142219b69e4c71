"""A map for each input: what is checked at submit, and what travels."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from disco_rq import external, func, local, result_iterator
from disco_rq.client.submission import Submission, build
from disco_rq.errors import BadSignature, JobArgumentError, Unshippable
from disco_rq.model import MapInput
from disco_rq.packing import JobSeal
from disco_rq.store.attempts import check_input, seal_input, unpack_input


def users(line: str, params: Any) -> Iterator[tuple[str, str]]:
    name, _, town = line.partition(" ")
    yield name, town


def visits(row: dict[str, str], params: Any) -> Iterator[tuple[str, int]]:
    yield row["name"], int(row["count"])


CSV = func.csv_reader()
USERS, VISITS = "raw://ann york\nbob hull\n", "raw://name,count\nann,3\nbob,4\nann,5\n"
PROGRAM = external([sys.executable])
JOINED = [("ann", 3), ("ann", 5), ("ann", "york"), ("bob", 4), ("bob", "hull")]


def built(input: Any, **arguments: Any) -> Submission:
    return build("sides", input, arguments, None)


def test_each_input_is_read_by_its_own_map_and_reader() -> None:
    job = local.run("sides", [(USERS, users), (VISITS, visits, CSV)])
    assert sorted(result_iterator(job.wait()), key=str) == sorted(JOINED, key=str)


def test_the_map_and_reader_of_the_job_are_those_of_what_has_none() -> None:
    job = local.run("sides", [VISITS, ([USERS], users, func.map_line_reader)], map=visits, map_reader=CSV)
    assert sorted(result_iterator(job.wait()), key=str) == sorted(JOINED, key=str)
    job = local.run("sides", [(VISITS, visits), (VISITS, visits, None)], map_reader=CSV)
    assert len(list(result_iterator(job.wait()))) == 6


def test_a_total_order_is_made_of_the_keys_of_all_sides() -> None:
    job = local.run(
        "sides", [(USERS, users), (VISITS, visits, CSV)], partition=func.total_order, reduce=func.nop_reduce
    )
    assert [key for key, _ in result_iterator(job.wait())] == ["ann", "ann", "ann", "bob", "bob"]


def test_pieces_and_files_of_a_directory_know_their_map(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("ann york\n" * 100)
    inputs = built(
        [([tmp_path], users), (VISITS, visits, CSV), (tmp_path / "a", users)], split_size=500
    ).inputs
    assert [one.side for one in inputs] == [0, 0, 0, 0, 1, 0, 0]


def test_replicas_stay_replicas_and_a_list_in_front_of_a_map_is_inputs() -> None:
    assert len(built([(USERS, VISITS)], map=users).inputs) == 1
    assert len(built([([USERS, VISITS], users)]).inputs) == 2
    assert len(built([([[USERS, VISITS]], users)]).inputs) == 1


def test_an_input_tells_its_map_in_jobspec() -> None:
    [told, plain] = built([(USERS, users, CSV), USERS], map=visits).spec.details["arguments"]["input"]
    assert told == {"input": [USERS], "map": f"{__name__}.users", "map_reader": told["map_reader"]}
    assert plain == USERS


def test_which_map_reads_an_input_is_signed_with_it() -> None:
    seal = JobSeal("j@20261129-000000-abcd", b"secret")
    own, other = (MapInput(built([(USERS, users)]).inputs[0].parts, side=side) for side in (0, 1))
    sealed = seal_input(own, 0, seal)
    check_input(unpack_input(sealed), 0, seal)
    forged = MapInput(other.parts, unpack_input(sealed).signature, 1)
    for wrong in (forged, MapInput(other.parts, forged.signature)):
        with pytest.raises(BadSignature):
            check_input(wrong, 0, seal)
    assert MapInput.unpack(msgpack.unpackb(msgpack.packb(other.pack()))) == other


@pytest.mark.parametrize(
    ("given", "arguments", "says"),
    [
        ([USERS, (USERS, users)], {}, "input[0] has no map of its own, and the job has no map for it"),
        ([(USERS, PROGRAM)], {"map": users}, "input[0]: the map of an input is a Python function"),
        ([(USERS, users)], {"map": PROGRAM}, "map is a program"),
        ([(USERS, list)], {}, "input[0]: map is called with (entry, params)"),
        ([(USERS, users, lambda fd: [])], {}, "input[0]: map_reader is called with (fd, size, name)"),
        ([(USERS, users, 3)], {}, "input[0]: its reader is no function"),
        ([(USERS, users, CSV, 1)], {}, "input[0] has 4 members"),
        ([([USERS, 1], users)], {}, "input[0][0][1] = 1: input takes addresses"),
        ([([(USERS, users)], users)], {}, "input[0][0][0] has a map"),
        ([(USERS, users)], {"save_by": str}, "save_by"),
    ],
)
def test_wrong_use_is_told_by_entry(given: Any, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(JobArgumentError, match=re.escape(says)):
        built(given, **arguments)


def test_a_map_that_cannot_be_shipped_is_told_as_the_inputs() -> None:
    lock = threading.Lock()
    with pytest.raises(Unshippable, match=r"input cannot be sent to the workers: its item .0."):
        built([(USERS, lambda line, params: [(line, lock)])])
