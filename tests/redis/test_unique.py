"""A job that is to be unique: while one like it is active, that one is what a submit gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq.client.submission import build
from disco_rq.errors import JobArgumentError
from disco_rq.model import JobSpec
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.ending import Ending
from disco_rq.store.jobs import JobStore
from tests.redis.story import JOB, OTHER, commit, everything, fail, lead, map_inputs, race, started

Connect = Callable[[], Connection]


def submit_unique(connection: Connection, name: str, digest: str = "d1") -> str | None:
    spec = JobSpec(name, 1, 0, has_map=True, has_reduce=False, unique=True, details={"unique": digest})
    return JobStore(connection).submit(spec, b"pack", map_inputs(1))


@pytest.fixture
def led(connection: Connection) -> Connection:
    lead(connection)
    return connection


def test_the_active_one_is_given_and_nothing_is_written(led: Connection) -> None:
    assert submit_unique(led, JOB) == JOB
    before = everything(led)

    assert submit_unique(led, OTHER) == JOB

    assert everything(led) == before


def test_another_one_is_another(led: Connection) -> None:
    submit_unique(led, JOB)

    assert submit_unique(led, OTHER, "d2") == OTHER


@pytest.mark.parametrize("end", ["ready", "dead", "killed", "purged"])
def test_one_that_has_ended_makes_room(led: Connection, end: str) -> None:
    submit_unique(led, JOB)
    match end:
        case "ready":
            commit(led, started(led, "map:0"))
        case "dead":
            fail(led, started(led, "map:0"), "fatal")
        case "killed":
            Ending(led).kill(JOB, "it was killed")
        case "purged":
            Ending(led).purge(JOB)
    assert not led.redis.exists(keys.UNIQUE)

    assert submit_unique(led, OTHER) == OTHER


def test_the_end_of_a_job_leaves_the_place_of_its_successor(led: Connection) -> None:
    submit_unique(led, JOB)
    led.redis.srem(keys.ACTIVE, JOB)  # as a failover may leave it
    assert submit_unique(led, OTHER) == OTHER
    led.redis.sadd(keys.ACTIVE, JOB)

    Ending(led).kill(JOB, "it was killed")

    assert submit_unique(led, "third@20260101-000000-cccc") == OTHER


def test_of_clients_that_submit_it_at_once_all_get_the_same(connect: Connect, led: Connection) -> None:
    names = [f"job@20260101-000000-{number:04}" for number in range(4)]

    got = race([connect() for _ in names], lambda client, n: submit_unique(client, names[n]))

    assert len(set(got)) == 1
    assert [name for name, _ in JobStore(led).job_list()] == [got[0]]


# -- what it is told by


def one_map(entry: Any, params: Any) -> Iterator[tuple[Any, int]]:
    yield entry, 1


def other_map(entry: Any, params: Any) -> Iterator[tuple[Any, int]]:
    yield entry, 2


def digest(input: Any = ("raw://a",), name: str = "job", **arguments: Any) -> str:
    built = build(name, list(input), {"map": one_map, "owner": "me", "unique": True, **arguments}, None)
    return str(built.spec.details["unique"])


def test_the_same_job_is_the_same() -> None:
    assert digest(params={"a": [1]}) == digest(params={"a": [1]})


@pytest.mark.parametrize(
    "other",
    [
        {"name": "other"},
        {"owner": "you"},
        {"map": other_map},
        {"params": {"a": 1}},
        {"input": ("raw://b",)},
        {"nr_reduces": 3},
        {"required_files": {"a": b"b"}},
        {"save": "/tmp/somewhere"},
    ],
)
def test_what_gives_another_result_is_another_job(other: dict[str, Any]) -> None:
    assert digest(**other) != digest()


@pytest.mark.parametrize(
    "other", [{"priority": 3}, {"gc_after": 60}, {"on_end": "https://example.org"}, {"pilot": 1}]
)
def test_how_it_is_run_makes_no_other_job(other: dict[str, Any]) -> None:
    assert digest(**other) == digest()


def test_a_file_that_was_written_to_is_another_input(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("one\n")
    before = digest((str(path),))
    assert digest((str(path),)) == before

    path.write_text("two\n")

    assert digest((str(path),)) != before


def test_a_directory_with_one_more_file_is_another_input(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\n")
    before = digest((str(tmp_path),))

    (tmp_path / "b.txt").write_text("two\n")

    assert digest((str(tmp_path),)) != before


def test_what_cannot_be_told_is_refused_by_its_name(tmp_path: Path) -> None:
    file = (tmp_path / "a").open("w")

    def map(entry: Any, params: Any) -> Any:
        return [(file, 1)]

    with (
        file,
        pytest.raises(JobArgumentError, match=r"^unique=True: nobody can tell what map does: .*TextIO"),
    ):
        digest(map=map)
