"""Small jobs for tests: run one to its end, and look at what it left."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, JobError, result_iterator

PATIENCE_S = 30.0


def data_dir(disco: Disco, job: Job) -> Path:
    """Where the embedded node keeps the files of a job."""
    assert disco._cluster is not None
    return disco._cluster.directory / "data" / job.name


def run(disco: Disco, *, input: Iterable[Any] = ("raw://entry",), **arguments: Any) -> Job:
    """A job that has ended ready."""
    job = disco.new_job("small", list(input), **arguments)
    job.wait(timeout=PATIENCE_S)
    return job


def pairs(job: Job) -> list[Any]:
    return list(result_iterator(job.wait(timeout=PATIENCE_S)))


def wait_for_death(job: Job) -> str:
    """The text of the ``JobError`` that tells why the job is dead."""
    with pytest.raises(JobError) as caught:
        job.wait(timeout=PATIENCE_S)
    assert job.results()[0] == "dead"
    return str(caught.value)


def death(disco: Disco, *, input: Iterable[Any] = ("raw://entry",), **arguments: Any) -> str:
    """Run a job that dies; why it did."""
    return wait_for_death(disco.new_job("small", list(input), **arguments))


# -- for job functions


def outcome(action: Callable[[], Any]) -> str:
    """The name of the error that an action raises, ``"ok"`` if none. Runs in tasks."""
    try:
        action()
    except Exception as error:  # noqa: BLE001  any: its name is what the test compares
        return type(error).__name__
    return "ok"


def wait_for_file(path: str) -> None:
    """Hold a task up until the test makes the file."""
    while not Path(path).exists():
        time.sleep(0.002)


def is_first_attempt(mark: str) -> bool:
    """True the first time that a task asks."""
    try:
        open(mark, "x").close()
    except FileExistsError:
        return False
    return True
