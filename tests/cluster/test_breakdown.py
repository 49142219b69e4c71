"""What a task does to its own process and directory is undone after it, or is told as what it is."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, result_iterator


def closes_stdout(entry: str, params: Any) -> list[tuple[str, int]]:
    print("before")
    sys.stdout.close()
    return [(entry, 1)]


def closes_descriptors(entry: str, params: Any) -> list[tuple[str, int]]:
    print("before")
    os.close(1)
    os.close(2)
    return [(entry, 1)]


def loses_streams(entry: str, params: Any) -> list[tuple[str, int]]:
    print("before")
    sys.stdout = sys.stderr = None
    return [(entry, 1)]


def swaps_stdout(entry: str, params: Any) -> list[tuple[str, int]]:
    print("before")
    sys.stdout = io.StringIO()
    return [(entry, 1)]


def deletes_its_directory(entry: str, params: Any) -> list[tuple[str, int]]:
    print("before")
    shutil.rmtree(Path.cwd())
    return [(entry, 1)]


def breaks_our_own_code(entry: str, params: Any) -> list[tuple[str, int]]:
    from disco_rq.errors import ConnectionLost
    from disco_rq.worker.commits import Commits

    def broken(*_: Any) -> None:
        raise ConnectionLost("broken")

    Commits.add = broken  # type: ignore[assignment]
    return [(entry, 1)]


@pytest.mark.parametrize(
    "does", [closes_stdout, closes_descriptors, loses_streams, swaps_stdout, deletes_its_directory]
)
def test_the_next_task_finds_things_as_new(disco: Disco, does: Callable[..., Any]) -> None:
    job = disco.new_job("spoils", [f"raw://{i}" for i in range(8)], map=does)

    assert sorted(result_iterator(job.wait(timeout=60))) == [(str(i), 1) for i in range(8)]
    assert job.jobinfo()["mapi"] == [0, 0, 8, 0]
    assert {job.log(f"map:{i}") for i in range(8)} == {"before\n"}


def test_what_breaks_the_process_of_a_task_is_its_cause(disco: Disco) -> None:
    job = disco.new_job("breaks", ["raw://x"], map=breaks_our_own_code, max_failures=1)

    with pytest.raises(JobError, match=r"the process of the task broke down: .*broken") as told:
        job.wait(timeout=30)

    assert "Traceback" not in str(told.value)
    assert [attempt["outcome"] for attempt in job.story("map:0")] == ["data", "data"]
