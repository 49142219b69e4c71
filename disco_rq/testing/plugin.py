"""The pytest plugin: ``disco``, an embedded cluster for tests. pytest finds it by its entry point."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from disco_rq import Disco

WORKERS = 2


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("disco-rq").addoption(
        "--disco", action="store_true", help="Start the cluster of the fixture disco before the first test."
    )


@pytest.fixture(scope="session", autouse=True)
def _disco_before_all(request: pytest.FixtureRequest) -> None:
    """So that the first test, and its time limit, need not wait for it."""
    if request.config.getoption("--disco"):
        request.getfixturevalue("disco_cluster")


@pytest.fixture(scope="session")
def disco_cluster() -> Iterator[Disco]:
    """An embedded cluster with two workers, for the whole session."""
    from disco_rq import Disco

    with Disco(workers=WORKERS) as cluster:
        yield cluster


@pytest.fixture
def disco(disco_cluster: Disco) -> Iterator[Disco]:
    """The cluster of the session. What the test leaves of its jobs is purged when it ends."""
    yield disco_cluster
    for _, _, name in disco_cluster.joblist():
        disco_cluster.purge(name)
