"""A batch of which RQ has not been told yet: its worker, its horse or Redis dies, or the job is killed.
Nothing is lost, nothing counts twice, and RQ keeps nothing of it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from disco_rq import JobError
from tests.cluster.conftest import wait_until
from tests.gated import GatedJob
from tests.nodes import NodeCluster, Part, send


@pytest.fixture
def cluster() -> Iterator[NodeCluster]:
    with NodeCluster() as cluster:
        cluster.master()
        yield cluster


@pytest.fixture
def node(cluster: NodeCluster) -> Part:
    part = cluster.program("untold", ["tests.cluster.untold", "untold"])
    wait_until(lambda: cluster.slots("untold") and part.horses())
    return part


@pytest.fixture
def job(cluster: NodeCluster, node: Part, tmp_path: Path) -> GatedJob:
    """A job one map of which waits at its gate, unknown to RQ's registries."""
    job = GatedJob(cluster.disco, tmp_path / "gates", lines=1)
    wait_until(lambda: job.traces("map"))
    assert node.is_running
    assert rq_jobs(cluster, "wip") == 0
    assert cluster.connection.redis.llen("rq:queue:disco.untold:intermediate") == 1
    return job


def has_ended(process: psutil.Process) -> bool:
    """Whether it is gone, or waits only for its parent to look."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def rq_jobs(cluster: NodeCluster, registry: str) -> int:
    return int(cluster.connection.redis.zcard(f"rq:{registry}:disco.untold"))


def assert_rq_is_rid_of_it(cluster: NodeCluster) -> None:
    wait_until(lambda: cluster.connection.redis.llen("rq:queue:disco.untold:intermediate") == 0)
    wait_until(lambda: cluster.connection.redis.llen("rq:queue:disco.untold") == 0)
    wait_until(lambda: rq_jobs(cluster, "wip") == 0)


def test_its_worker_is_killed(cluster: NodeCluster, node: Part, job: GatedJob) -> None:
    (worker,) = node.workers()
    send(worker, signal.SIGKILL)
    wait_until(lambda: len({pid for _, _, pid in job.traces("map")}) == 2, timeout_s=25)
    job.open_gate("maps", "reduces")
    job.assert_right()
    job.job.purge()  # until then RQ may keep what it does not know to be done
    assert_rq_is_rid_of_it(cluster)


def test_its_horse_is_killed(cluster: NodeCluster, job: GatedJob) -> None:
    ((_, _, horse),) = job.traces("map")
    os.kill(horse, signal.SIGKILL)
    wait_until(lambda: len({pid for _, _, pid in job.traces("map")}) == 2)
    job.open_gate("maps", "reduces")
    job.assert_right()
    assert job.failed_attempts() == 1
    assert_rq_is_rid_of_it(cluster)


def test_its_worker_is_asked_to_leave_and_lets_it_end(
    cluster: NodeCluster, node: Part, job: GatedJob
) -> None:
    (worker,) = node.workers()
    send(worker, signal.SIGTERM)
    job.open_gate("maps")
    wait_until(lambda: job.traces("mapped"))
    job.open_gate("reduces")  # of which it may have begun one before it was told
    wait_until(lambda: has_ended(worker))
    job.assert_right()
    assert job.failed_attempts() == 0
    assert len(job.traces("map")) == 1
    assert_rq_is_rid_of_it(cluster)


def test_its_worker_is_told_twice_to_leave_and_the_task_runs_again(
    cluster: NodeCluster, node: Part, job: GatedJob
) -> None:
    (worker,) = node.workers()

    def told_again() -> bool:
        send(worker, signal.SIGTERM)
        return has_ended(worker)

    wait_until(told_again)  # many times: RQ takes a second signal within a second for the same one
    wait_until(lambda: len({pid for _, _, pid in job.traces("map")}) == 2, timeout_s=25)
    job.open_gate("maps", "reduces")
    job.assert_right()
    job.job.purge()
    assert_rq_is_rid_of_it(cluster)


def test_redis_is_killed_and_comes_back(cluster: NodeCluster, job: GatedJob) -> None:
    cluster.kill_redis()
    job.open_gate("maps", "reduces")
    cluster.start_redis()
    job.assert_right()
    assert_rq_is_rid_of_it(cluster)


def test_the_job_is_killed(cluster: NodeCluster, job: GatedJob) -> None:
    ((_, _, pid),) = job.traces("map")
    horse = psutil.Process(pid)
    job.job.kill()
    wait_until(lambda: has_ended(horse))
    with pytest.raises(JobError, match="it was killed"):
        job.job.wait(timeout=10)
    assert_rq_is_rid_of_it(cluster)
