"""When out-of-band results are seen: all at once with the success of their task, and of no failed attempt."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, OOBNotFound
from disco_rq.model import TaskId
from disco_rq.runtime import data_err, err, put
from disco_rq.store.attempts import Attempt, AttemptStore, Failure
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import (
    data_dir,
    is_first_attempt,
    pairs,
    run,
    wait_for_death,
    wait_for_file,
)

# -- visibility


def test_nothing_is_visible_before_the_task_succeeds_and_then_everything_at_once(
    disco: Disco, tmp_path: Path
) -> None:
    # given a task that has put all its results, and is not through
    keys = sorted(f"k{i}" for i in range(300))
    has_put, gate = str(tmp_path / "has-put"), str(tmp_path / "gate")

    def map(e: str, params: Any) -> None:
        for key in keys:
            put(key, key)
        open(has_put, "x").close()
        wait_for_file(gate)

    job = disco.new_job("gated", ["raw://1"], map=map)
    wait_until(lambda: Path(has_put).exists())

    # then nothing is visible
    assert job.oob_list() == []
    with pytest.raises(OOBNotFound, match="k0"):
        job.oob_get("k0")

    # when it ends, then at no moment a part of them is
    Path(gate).touch()
    assert wait_until(job.oob_list) == keys
    job.wait(timeout=20)
    assert job.oob_list() == keys


@pytest.mark.parametrize("how", ["err", "exception", "quota"])
def test_a_task_that_ends_its_job_leaves_nothing(disco: Disco, how: str) -> None:
    def map(e: str, params: Any) -> None:
        put("left", "behind")
        if how == "err":
            err("enough")
        if how == "exception":
            raise ValueError("enough")
        put("left", "again")

    job = disco.new_job("dies", ["raw://1"], map=map)
    wait_for_death(job)

    assert job.oob_list() == []


@pytest.mark.parametrize("how", ["data_err", "OSError", "exception with task_retries", "killed"])
def test_a_failed_attempt_leaves_nothing_and_its_rerun_may_put_the_same_keys(
    disco: Disco, tmp_path: Path, how: str
) -> None:
    mark = str(tmp_path / "mark")

    def map(e: str, params: Any) -> None:
        first = is_first_attempt(mark)
        put("again", "first" if first else "second")
        if first:
            put("only-first", 1)
            if how == "data_err":
                data_err("once")
            if how == "OSError":
                raise OSError("once")
            if how == "killed":
                os.kill(os.getpid(), 9)
            raise ValueError("once")
        put("only-second", 2)

    job = run(disco, map=map, task_retries=1)

    assert job.oob_list() == ["again", "only-second"]
    assert job.oob_get("again") == "second"
    assert not disco.session.connection.redis.keys(f"disco:job:{job.name}:staged:*")


def test_a_key_of_a_failed_attempt_is_free_for_other_tasks(disco: Disco, tmp_path: Path) -> None:
    # given a task that fails once after it has put a key, and then puts it no more
    mark, gate = str(tmp_path / "mark"), str(tmp_path / "gate")

    def map(e: str, params: Any) -> None:
        if e == "fails":
            if is_first_attempt(mark):
                put("shared", e)
                data_err("once")
        else:
            wait_for_file(gate)
            put("shared", e)

    job = disco.new_job("frees", ["raw://fails", "raw://other"], map=map)
    wait_until(lambda: job.jobinfo()["mapi"][3] == 1)

    # when another one puts it
    Path(gate).touch()

    # then it is that one's
    job.wait(timeout=20)
    assert job.oob_get("shared") == "other"


def test_a_failed_attempt_gives_its_share_of_the_quota_back(disco: Disco, tmp_path: Path) -> None:
    mark = str(tmp_path / "mark")

    def map(e: str, params: Any) -> None:
        for i in range(1000):
            put(f"k{i}", i)
        if is_first_attempt(mark):
            data_err("once")

    assert len(run(disco, map=map).oob_list()) == 1000


def test_an_overtaken_attempt_that_ends_late_changes_nothing(disco: Disco, tmp_path: Path) -> None:
    # given a first attempt that is held up after its put
    mark, has_put, gate = (str(tmp_path / name) for name in ("mark", "has-put", "gate"))

    def map(e: str, params: Any) -> list[tuple[str, str]]:
        if is_first_attempt(mark):
            put("first", 1)
            put("both", "first")
            open(has_put, "x").close()
            wait_for_file(gate)
            return [("by", "first")]
        put("both", "second")
        wait_for_file(gate)
        return [("by", "second")]

    job = disco.new_job("zombie", ["raw://1"], map=map)
    wait_until(lambda: Path(has_put).exists())

    # when the cluster gives it up, and it comes back before it hears of that
    tasks: Any = disco.session.connection.redis.hgetall(f"disco:job:{job.name}:tasks")
    _, number, node, _, worker, _ = tasks[b"map:0"].decode().split(" ")
    attempt = Attempt(job.name, TaskId("map", 0), int(number), node, worker)
    assert (
        AttemptStore(disco.session.connection).fail(attempt, "data", Failure("given up"), survives=3)
        == "retry"
    )
    Path(gate).touch()

    # then only the second attempt counts
    assert pairs(job) == [("by", "second")]
    assert job.oob_list() == ["both"]
    assert job.oob_get("both") == "second"
    wait_until(lambda: not (data_dir(disco, job) / "map-0.1").exists())
