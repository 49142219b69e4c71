"""Who may read out-of-band results: reduces, other jobs, clients and redis-cli."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, OOBNotFound, OOBNotReadable
from disco_rq.runtime import err, get, put, this_partition
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import (
    death,
    outcome,
    pairs,
    run,
    wait_for_death,
    wait_for_file,
)
from tests.cluster.test_oob import VALUES

# -- reading in tasks


def test_a_reduce_and_another_job_read_the_same_types(disco: Disco) -> None:
    def map(e: str, params: Any) -> list[tuple[int, int]]:
        for i, value in enumerate(VALUES):
            put(f"v{i}", value)
        return [(1, 1)]

    def reduce(iter: Iterator[Any], params: Any) -> Iterator[tuple[int, str]]:
        for i in range(len(VALUES)):
            yield i, ascii(get(f"v{i}"))

    first = run(disco, map=map, reduce=reduce)
    name = first.name
    second = run(disco, map=lambda e, params: [(i, ascii(get(f"v{i}", name))) for i in range(len(VALUES))])

    expected = [(i, ascii(value)) for i, value in enumerate(VALUES)]
    assert pairs(first) == expected
    assert pairs(second) == expected


def test_a_reduce_sees_the_map_phase_and_never_a_reduce(disco: Disco, tmp_path: Path) -> None:
    # given two reduces of which one waits until the other's results are committed
    gate = str(tmp_path / "gate")

    def map(e: str, params: Any) -> list[tuple[int, str]]:
        put(f"map:{e}", e)
        return [(int(e), e)]

    def reduce(iter: Iterator[Any], params: Any) -> Iterator[tuple[str, str]]:
        me = this_partition()
        put(f"reduce:{me}", me)
        if me == 1:
            wait_for_file(gate)
            yield "map 0", get("map:0")
            yield "map 1", get("map:1")
            yield "finished reduce", outcome(lambda: get("reduce:0"))
            yield "itself", outcome(lambda: get("reduce:1"))
            yield "itself, by name", outcome(lambda: get("reduce:1", job))

    job = ""
    submitted = disco.new_job(
        "reads",
        ["raw://0", "raw://1"],
        map=map,
        reduce=reduce,
        partition=lambda key, n, params: key,
        nr_reduces=2,
    )
    wait_until(lambda: "reduce:0" in submitted.oob_list())

    # when
    Path(gate).touch()

    # then
    assert dict(pairs(submitted)) == {
        "map 0": "0",
        "map 1": "1",
        "finished reduce": "OOBNotFound",
        "itself": "OOBNotFound",
        "itself, by name": "OOBNotFound",
    }


def test_a_map_cannot_read_its_own_job(disco: Disco) -> None:
    def map(e: str, params: Any) -> list[tuple[str, str]]:
        put("own", 1)
        return [("own", outcome(lambda: get("own"))), ("unknown", outcome(lambda: get("unknown")))]

    assert {found for _, found in pairs(run(disco, map=map))} == {"OOBNotReadable"}


def test_reading_the_own_job_in_a_map_ends_the_job_if_not_caught(disco: Disco) -> None:
    text = death(disco, map=lambda e, params: get("some-key"))

    assert "OOBNotReadable" in text.splitlines()[0]
    assert "'some-key'" in text.splitlines()[0]


def test_an_unknown_key_in_a_reduce_ends_the_job_and_is_named(disco: Disco) -> None:
    def reduce(iter: Iterator[Any], params: Any) -> None:
        get("no-such-key")

    text = death(disco, map=lambda e, params: [(e, 1)], reduce=reduce)

    assert "OOBNotFound" in text.splitlines()[0]
    assert "'no-such-key'" in text.splitlines()[0]


def read_from(disco: Disco, job: str, key: str = "key") -> Any:
    """What a map of another job gets: the value, or the name of the error with its text."""

    def map(e: str, params: Any) -> list[tuple[str, Any]]:
        try:
            return [("value", get(key, job))]
        except (OOBNotFound, OOBNotReadable) as error:
            return [("error", f"{type(error).__name__}: {error}")]

    [(_, found)] = pairs(run(disco, map=map))
    return found


def test_any_task_reads_a_ready_job(disco: Disco) -> None:
    ready = run(disco, map=lambda e, params: put("key", {"a": [1]}))

    assert read_from(disco, ready.name) == {"a": [1]}
    assert read_from(disco, ready.name, "other") == f"OOBNotFound: job {ready.name} has no OOB result 'other'"


def test_an_active_job_cannot_be_read_and_a_dead_one_can(disco: Disco, tmp_path: Path) -> None:
    # given a job of which one task has committed and one runs
    gate = str(tmp_path / "gate")

    def map(e: str, params: Any) -> None:
        if e == "quick":
            put("key", b"committed")
        else:
            wait_for_file(gate)
            err("the end")

    job = disco.new_job("other", ["raw://quick", "raw://slow"], map=map)
    wait_until(job.oob_list)

    # then it cannot be read while it is active
    assert read_from(disco, job.name).startswith("OOBNotReadable")
    assert job.name in read_from(disco, job.name)

    # but when it is dead
    Path(gate).touch()
    wait_for_death(job)
    assert read_from(disco, job.name) == b"committed"


@pytest.mark.parametrize("job", ["nobody@20200101-000000-aaaa", "", "no name", "x\ud800"])
def test_an_unknown_job_has_no_results(disco: Disco, job: str) -> None:
    found = read_from(disco, job)

    assert found == f"OOBNotFound: unknown job {job!r}"


# -- reading outside


def test_the_client_names_the_key_and_the_job_that_it_does_not_find(disco: Disco) -> None:
    job = run(disco, map=lambda e, params: put("5", "five"))

    for key in ("6", "5\n", "not a key!", "", "\ud800", 5, None):
        with pytest.raises(OOBNotFound) as caught:
            job.oob_get(key)  # type: ignore[arg-type]
        assert repr(key) in str(caught.value)
    for ask in (lambda: disco.oob_list("nobody"), lambda: disco.oob_get("nobody", "5")):
        with pytest.raises(OOBNotFound, match="unknown job 'nobody'"):
            ask()


def hgetall(redis_cli: Path, disco: Disco, job: Job) -> list[str]:
    socket = disco.url.removeprefix("unix://")
    command = [str(redis_cli), "-s", socket, "HGETALL", f"disco:job:{job.name}:oob"]
    return subprocess.run(command, capture_output=True, check=True, timeout=20).stdout.decode().splitlines()


def test_redis_cli_shows_committed_results_as_text(disco: Disco, redis_cli: Path) -> None:
    def map(e: str, params: Any) -> None:
        put("text", "grüße")
        put("number", 42)
        put("nested", {"words": ["a", "ключ"], "none": None})
        put("bytes", b"plain")

    job = run(disco, map=map)

    lines = hgetall(redis_cli, disco, job)
    assert dict(zip(lines[::2], lines[1::2], strict=True)) == {
        "text": "grüße",
        "number": "42",
        "nested": '{"words": ["a", "ключ"], "none": null}',
        "bytes": "plain",
    }


def test_redis_cli_shows_nothing_of_a_dead_attempt(disco: Disco, redis_cli: Path) -> None:
    def map(e: str, params: Any) -> None:
        put("key", 1)
        err("enough")

    job = disco.new_job("dies", ["raw://1"], map=map)
    wait_for_death(job)

    assert [line for line in hgetall(redis_cli, disco, job) if line] == []
