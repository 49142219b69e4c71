"""What became of each attempt of a task, and what it printed."""

from __future__ import annotations

import logging
import subprocess
import time
from typing import Any

import pytest

from disco_rq import Disco, DiscoError, Params, UnknownJob
from disco_rq.runtime import data_err, put, this_partition
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import death, run


def fails_once(entry: str, params: Any) -> list[tuple[str, int]]:
    print("looking at", entry)
    try:
        put("tried", 1)
    finally:
        if not params.dir.exists():
            params.dir.touch()
            data_err("not yet")
    subprocess.run(["echo", "said by a child"], check=True)
    logging.getLogger("user").info("logged")
    return [(entry, 1)]


def test_the_story_of_a_task_has_every_attempt(disco: Disco, tmp_path: Any) -> None:
    job = run(disco, map=fails_once, params=Params(dir=tmp_path / "tried"))
    first, second = job.story("map:0")
    assert (first["attempt"], first["outcome"], first["node"]) == (1, "data", "localhost")
    assert "not yet" in first["error"]
    assert (second["attempt"], second["outcome"], second["entries"]) == (2, "done", 1)
    assert first["started"] <= first["ended"] <= second["started"] <= second["ended"]


def test_the_log_of_each_attempt_can_be_read(disco: Disco, tmp_path: Any) -> None:
    job = run(disco, map=fails_once, params=Params(dir=tmp_path / "tried"))
    assert job.log("map:0", 1) == "looking at entry\n"
    assert "said by a child" in job.log("map:0")
    assert "logged" in job.log("map:0")
    assert job.log("map:0", 7) == ""


def test_a_task_that_printed_nothing_has_an_empty_log(disco: Disco) -> None:
    assert run(disco, map=lambda entry, params: []).log("map:0") == ""


def test_the_story_of_a_dead_job_stays(disco: Disco) -> None:
    def broken(entry: str, params: Any) -> list[Any]:
        raise ValueError("broken")

    name = death(disco, map=broken).split()[1]
    [only] = disco.story(name, "map:0")
    assert only["outcome"] == "error"
    assert "ValueError: broken" in only["error"]


def test_what_is_no_task_or_no_job_is_named(disco: Disco) -> None:
    job = run(disco, map=lambda entry, params: [])
    with pytest.raises(DiscoError, match=f"job {job.name} has no task map:99: the last is map:0$"):
        job.story("map:99")
    with pytest.raises(DiscoError, match=r"has no task reduce:0: it has no reduces$"):
        job.log("reduce:0")
    with pytest.raises(DiscoError, match="'mapper' is no task"):
        job.story("mapper")
    with pytest.raises(UnknownJob):
        disco.story("nobody@20200101-000000-aaaa", "map:0")


def test_an_attempt_that_outlives_its_job_is_told_as_it_was(disco: Disco, tmp_path: Any) -> None:
    """Not as one whose worker was lost, when its lease has run out."""

    def last_to_know(entry: str, params: Any) -> list[Any]:
        if this_partition() == 0:
            while not params.dir.exists():
                time.sleep(0.001)
            raise ValueError("dead")
        params.dir.touch()
        time.sleep(0.01)  # until just about the end of the job
        return []

    def outcome() -> str:
        return str(disco.story(name, "map:1")[0]["outcome"])

    for turn in range(3):
        params = Params(dir=tmp_path / f"gate{turn}")
        name = death(disco, map=last_to_know, input=["raw://a", "raw://b"], params=params).split()[1]
        wait_until(lambda: outcome() != "running", timeout_s=5)
        assert outcome() in ("done", "killed")
        assert "sign of life" not in disco.story(name, "map:1")[0].get("error", "")
