"""What every test may use: short private directories, and the programs that some tests need."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from disco_rq.machine.redisserver import private_directory
from disco_rq.store import jobs
from tests.nodes import NodeCluster


def pytest_configure() -> None:
    # A shell starts what runs in the background with Ctrl-C ignored, and what that starts ignores it, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A master that was just started leads when it has had its turn, on a machine with many others.
    jobs.MASTER_PATIENCE_S = 60.0
    # Four files of tests run at a time: how long one example takes says nothing.
    hypothesis.settings.register_profile("unhurried", deadline=None)
    hypothesis.settings.load_profile("unhurried")


def require_program(name: str) -> Path:
    """The program's path. Without it the test is skipped on a laptop and fails in CI."""
    found = shutil.which(name)
    if found is not None:
        return Path(found)
    if os.environ.get("CI"):
        pytest.fail(f"{name} is not installed, and CI must run this test")
    pytest.skip(f"{name} is not installed")


@pytest.fixture
def short_dir() -> Iterator[Path]:
    """A 0700 directory with a path short enough for a unix socket, which pytest's tmp_path need not have."""
    directory = private_directory()
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def nodes() -> Iterator[NodeCluster]:
    """A Redis, with as yet no master and no node, to be harmed."""
    with NodeCluster() as cluster:
        yield cluster


@pytest.fixture
def redis_cli() -> Path:
    return require_program("redis-cli")


@pytest.fixture
def redis_server() -> Path:
    """A server that was not shipped with our wheels: Debian's."""
    return require_program("redis-server")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are not for names of tests: packed ones differ from second to second, and so from process to
    process.
    """
    return argname if isinstance(val, bytes) else None
