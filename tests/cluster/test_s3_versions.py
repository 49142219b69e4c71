"""What is planned of an object store is what is read: an object that has become another since is an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from disco_rq import Disco, local, result_iterator
from disco_rq.errors import DataError, JobError
from disco_rq.inputs import open_input, plan_inputs
from disco_rq.model import MapInput
from tests.cluster.s3server import S3Server

LINES = b"".join(b"%06d\n" % i for i in range(10_000))
CHANGES = {
    "shorter": (
        LINES[:700],
        "it has become shorter since the job was submitted: 700 bytes, and 70000 were there",
    ),
    "of the same size": (LINES[::-1], "it was rewritten since the job was submitted: its ETag is another"),
    "longer": (LINES * 2, "it was rewritten since the job was submitted: its ETag is another"),
}


@pytest.fixture(scope="module")
def disco(s3: S3Server) -> Iterator[Disco]:
    """A cluster that knows the server."""
    with Disco(workers=1) as cluster:
        yield cluster


def plan(address: str, split_size: int | None) -> list[MapInput]:
    packed = [task.pack() for task in plan_inputs([address], line_based=True, split_size=split_size)]
    return [MapInput.unpack(task) for task in packed]


def read(task: MapInput) -> bytes:
    with open_input(task.parts[0][0]) as (fd, _):
        return fd.read()


@pytest.mark.parametrize("split_size", [None, 20_000])
@pytest.mark.parametrize("how", CHANGES)
def test_an_object_that_was_put_again_since_the_submit_is_an_error(
    s3: S3Server, how: str, split_size: int | None
) -> None:
    [address] = s3.put({"a.log": LINES})
    tasks = plan(address, split_size)
    content, says = CHANGES[how]
    s3.put({"a.log": content})

    for task in tasks:
        with pytest.raises(DataError, match=f"cannot read {address}: {says}"):
            read(task)


def test_an_object_that_was_put_again_with_the_same_content_is_the_same(s3: S3Server) -> None:
    [address] = s3.put({"a.log": LINES})
    tasks = plan(address, 20_000)
    s3.put({"a.log": LINES})
    assert b"".join(map(read, tasks)) == LINES


def test_an_object_that_was_put_again_between_two_pieces_is_an_error(s3: S3Server) -> None:
    [address] = s3.put({"a.log": LINES})
    first, second, *_ = plan(address, 20_000)
    read(first)
    s3.put({"a.log": LINES[::-1]})
    with pytest.raises(DataError, match="its ETag is another"):
        read(second)


def test_an_object_that_is_put_again_while_it_is_read_is_an_error(s3: S3Server) -> None:
    content = LINES * 200  # more than is read at once
    [address] = s3.put({"a.log": content})
    [task] = plan(address, None)
    with open_input(task.parts[0][0]) as (fd, _):
        fd.read(10)
        s3.put({"a.log": content[::-1]})
        with pytest.raises(DataError, match=f"cannot read {address}: "):
            fd.read()


def test_an_object_that_is_gone_is_an_error(s3: S3Server) -> None:
    [address] = s3.put({"gone.log": LINES})
    [task] = plan(address, None)
    fsspec.filesystem("s3").rm(address)
    with pytest.raises(DataError, match=f"cannot read {address}: "):
        read(task)


@pytest.mark.parametrize("where", ["cluster", "local"])
def test_a_job_whose_object_is_put_again_between_its_pieces_ends_with_that(
    disco: Disco, s3: S3Server, tmp_path: Path, where: str
) -> None:
    [address] = s3.put({"job.log": LINES})

    def put_again(line: str, params: Any) -> list[tuple[str, int]]:
        if line == "000000":
            fsspec.filesystem("s3").pipe_file(params, b"".join(b"%06d\n" % i for i in range(10_000, 0, -1)))
        return [(line, 1)]

    new_job = disco.new_job if where == "cluster" else local.run

    def run() -> list[Any]:
        job = new_job("put", [address], map=put_again, params=address, split_size=20_000, max_failures=0)
        return list(result_iterator(job.wait(timeout=60)))

    with pytest.raises(JobError, match="it was rewritten since the job was submitted: its ETag is another"):
        run()
