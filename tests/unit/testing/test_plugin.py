"""``pytest`` of somebody who has installed disco-rq: a fixture with a cluster, purged between tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TESTS = """
import time

from disco_rq import result_iterator


def map(line, params):
    return [(line, 1)]


def endless(line, params):
    while True:
        time.sleep(0.1)


def test_a_job(disco):
    job = disco.new_job("one", ["raw://a"], map=map)
    assert list(result_iterator(job)) == [("a", 1)]


def test_nothing_is_left_of_it(disco):
    assert list(disco.joblist()) == []


def test_a_job_that_goes_on_is_left(disco):
    disco.new_job("two", ["raw://a"], map=endless)


def test_nothing_is_left_of_that_either(disco):
    assert list(disco.joblist()) == []


def test_without_a_cluster():
    pass
"""


def test_the_fixture_is_one_cluster_purged_between_tests(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(TESTS)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DISCO_RQ", "PYTEST"))
    }

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--disco", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert "5 passed" in done.stdout, done.stdout + done.stderr
