"""``input`` as people hold it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import local, result_iterator
from disco_rq.errors import JobArgumentError
from disco_rq.inputs.given import listed

A, B = "raw://a", "raw://b"


def _generated() -> Iterator[str]:
    yield B
    yield A


@pytest.mark.parametrize(
    "given",
    [(B, A), iter([B, A]), _generated(), {B: 1, A: 2}.keys(), {1: B, 2: A}.values(), map(str, [B, A])],
    ids=lambda given: type(given).__name__,
)
def test_whatever_has_an_order_keeps_it(given: Any) -> None:
    assert listed(given) == [B, A]


def test_paths_are_addresses_also_as_replicas() -> None:
    assert listed((Path("/x"), (Path("/y"), B), [Path("/z")])) == ["/x", ["/y", B], ["/z"]]


def test_a_set_is_sorted_and_an_address_counts_once() -> None:
    assert listed({B, A}) == listed(frozenset((A, B))) == [A, B]
    assert listed({"/x", Path("/x")}) == ["/x"]


def test_a_set_gives_the_same_tasks_in_every_process() -> None:
    program = "from disco_rq.inputs.given import listed; print(listed({f'raw://{i}' for i in range(50)}))"
    runs = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_what_was_listed_may_be_listed_again() -> None:
    assert listed(listed(_generated())) == [B, A]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("a.txt", "input takes a list of addresses, not str: ['a.txt']"),
        (Path("a.txt"), "input takes a list of addresses, not PosixPath: [PosixPath('a.txt')]"),
        (b"a", "input takes a list of addresses, not bytes"),
        ({A: 1}, "not dict: its keys() or values()"),
        (7, "input takes a list of addresses, not int"),
        ([A, 1], "input[1] = 1: input takes addresses and lists of replicas, not int"),
        (iter([A, [B, None]]), "input[1][1] = None: input takes addresses as text, not NoneType"),
        ((A, []), "input[1] is an empty list of replicas"),
        ([A, " "], "input[1] is an empty address"),
        ([A, {B}], "not set"),
        ({(A, B)}, "input is a set with ('raw://a', 'raw://b') in it: a set takes addresses only"),
        ([["http://me:secret@host/x", 1, 2], 3], "input[0][1] = 1"),
        ([{"http://me:secret@host/x": 1}], "input[0] = {'http://me:***@host/x': 1}"),
    ],
)
def test_what_gives_no_addresses_is_refused_by_entry(given: Any, says: str) -> None:
    with pytest.raises(JobArgumentError, match=re.escape(says)):
        listed(given)


def test_an_open_file_is_refused_as_its_lines_are_no_addresses(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("raw://a\n")
    with open(tmp_path / "a") as file, pytest.raises(JobArgumentError, match="not an open file"):
        listed(file)


def test_a_generator_that_was_read_before_is_not_an_empty_input() -> None:
    given = _generated()
    listed(given)
    with pytest.raises(JobArgumentError, match="read before"):
        listed(given)


def test_what_a_generator_raises_passes_unchanged() -> None:
    def breaks() -> Iterator[str]:
        yield A
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        listed(breaks())


def test_a_local_job_reads_a_generator_once(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("x\ny\n")
    paths = (path for path in [tmp_path / "a"])
    job = local.run("generated", paths, map=lambda line, params: [(line, 1)])
    assert sorted(result_iterator(job.wait())) == [("x", 1), ("y", 1)]
