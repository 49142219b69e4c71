"""Whole jobs on real worker processes: one embedded cluster for the tests that do it no harm."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import Disco, local, result_iterator
from tests.cluster.s3server import S3Server, s3_server

Rows = Callable[..., list[Any]]


@pytest.fixture(scope="session")
def disco() -> Iterator[Disco]:
    """An embedded cluster with two workers, shared by all tests that kill nothing."""
    with Disco(workers=2) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server of the module's own."""
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as server:
        yield server


@pytest.fixture(params=["cluster", "local"])
def rows(request: pytest.FixtureRequest) -> Rows:
    """Runs a job to its end, on the cluster and in this process; the pairs of its results."""
    run = local.run if request.param == "local" else request.getfixturevalue("disco").new_job

    def pairs(inputs: list[Any], **arguments: Any) -> list[Any]:
        return list(result_iterator(run("rows", inputs, **arguments).wait(timeout=60)))

    return pairs


@pytest.fixture
def text_files(tmp_path: Path) -> list[str]:
    """Four small files; every word's count is known by ``WORDS`` in test_jobs."""
    paths = []
    for i in range(4):
        path = tmp_path / f"text{i}.txt"
        path.write_text("the quick brown fox\njumps over the lazy dog\n" * (i + 1))
        paths.append(str(path))
    return paths


def wait_until(condition: Callable[[], Any], timeout_s: float = 40.0) -> Any:
    """The first true value of a condition; fails the test when the time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {timeout_s} s"
        time.sleep(0.01)


def processes_of(disco: Disco) -> list[psutil.Process]:
    """The processes of an embedded cluster, its owner first."""
    assert disco._cluster is not None
    owner = psutil.Process(disco._cluster.pid)
    return [owner, *owner.children(recursive=True)]
