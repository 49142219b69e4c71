"""What dies in the middle of a job changes nothing but time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import DataError, Disco, result_iterator
from disco_rq.runtime import counter, put, this_partition
from tests.cluster.conftest import processes_of, wait_until
from tests.cluster.test_untold_batches import has_ended


@pytest.fixture
def own_disco() -> Iterator[Disco]:
    """A cluster to be harmed."""
    with Disco(workers=2) as cluster:
        yield cluster


def worker_processes(disco: Disco) -> list[psutil.Process]:
    """The parents of the horses."""
    return [process for process in processes_of(disco)[1:] if has_children(process)]


def has_children(process: psutil.Process) -> bool:
    try:
        return bool(process.children())
    except psutil.NoSuchProcess:  # a horse that ends just now
        return False


def master_process(disco: Disco) -> psutil.Process:
    """The one child of the owner that is neither the server nor a worker."""
    owner = processes_of(disco)[0]
    [master] = [child for child in owner.children() if not child.children() and "server" not in child.name()]
    return master


def slow_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """Waits until the gate is open, and leaves a trace of having begun."""
    Path(params.dir, f"begun-{this_partition()}-{os.getpid()}").touch()
    put(f"map:{this_partition()}", "done")
    counter("lines")
    while not Path(params.dir, "gate").exists():
        time.sleep(0.005)
    for word in line.split():
        yield word, 1


def count(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    from disco_rq.func import kvgroup

    for word, ones in kvgroup(pairs):
        yield word, sum(ones)


def submit(disco: Disco, directory: Path) -> Any:
    from disco_rq import Params

    inputs = ["raw://a b a", "raw://b c", "raw://a", "raw://d d d"]
    arguments: dict[str, Any] = {"map": slow_words, "reduce": count, "sort": True, "nr_reduces": 2}
    return disco.new_job("gated", inputs, params=Params(dir=str(directory)), **arguments)


SOON_S = 10.0
"""Two seconds, and patience with a busy machine."""
ANSWER = {"a": 3, "b": 2, "c": 1, "d": 3}


def assert_right(job: Any) -> None:
    assert dict(result_iterator(job.wait(timeout=60))) == ANSWER
    assert job.oob_list() == ["map:0", "map:1", "map:2", "map:3"]
    assert job.jobinfo()["counters"] == {"lines": 4}


def begun(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir() if path.name.startswith("begun")]


def test_a_master_killed_in_the_middle_changes_nothing_but_time(own_disco: Disco, tmp_path: Path) -> None:
    # given two maps under way and two waiting
    job = submit(own_disco, tmp_path)
    wait_until(lambda: len(begun(tmp_path)) == 2)
    # when the master is killed, and the maps go on without one
    killed = master_process(own_disco)
    killed.kill()
    (tmp_path / "gate").touch()
    # then another master finishes the job
    assert_right(job)
    assert master_process(own_disco).pid != killed.pid
    assert job.jobinfo()["mapi"] == [0, 0, 4, 0]


def test_a_job_submitted_while_no_master_runs_is_finished(own_disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "gate").touch()
    master_process(own_disco).kill()
    assert_right(submit(own_disco, tmp_path))


def test_a_worker_killed_in_a_task_is_noticed_and_the_task_done_elsewhere(
    own_disco: Disco, tmp_path: Path
) -> None:
    # given
    job = submit(own_disco, tmp_path)
    wait_until(lambda: len(begun(tmp_path)) == 2)
    # when a worker dies with its task
    worker = worker_processes(own_disco)[0]
    horses = worker.children()
    worker.kill()
    died_at = time.monotonic()
    # then its horses die with it, and the lost task is noticed within ten seconds and a beat
    wait_until(lambda: not any(horse.is_running() for horse in horses))
    wait_until(lambda: job.jobinfo()["mapi"][3] == 1, timeout_s=12)
    assert time.monotonic() - died_at < 12
    (tmp_path / "gate").touch()
    assert_right(job)


def test_horses_killed_while_they_wait_cost_no_attempt(own_disco: Disco, tmp_path: Path) -> None:
    # given idle workers whose horses have all been killed
    (tmp_path / "gate").touch()
    submit(own_disco, tmp_path).wait(timeout=30)
    horses = [horse for worker in worker_processes(own_disco) for horse in worker.children()]
    for horse in horses:
        horse.kill()
    wait_until(lambda: all(has_ended(horse) for horse in horses))
    # when a job comes
    job = submit(own_disco, tmp_path)
    job.wait(timeout=30)
    # then each of its tasks ran once, and nobody waited for a queue to be looked through
    assert {one["attempt"] for task in ("map:0", "map:1", "reduce:0") for one in job.story(task)} == {1}


def test_a_horse_killed_in_a_task_is_noticed_at_once(own_disco: Disco, tmp_path: Path) -> None:
    job = submit(own_disco, tmp_path)
    wait_until(lambda: len(begun(tmp_path)) == 2)
    os.kill(int(begun(tmp_path)[0].rpartition("-")[2]), signal.SIGKILL)
    wait_until(lambda: job.jobinfo()["mapi"][3] == 1)
    # then its worker has told, and no lease had to run out
    errors = [one.get("error", "") for i in range(2) for one in job.story(f"map:{i}")]
    assert [error for error in errors if "was killed by SIGKILL" in error]
    (tmp_path / "gate").touch()
    assert_right(job)


def keys_of(disco: Disco, job: str) -> list[Any]:
    """Every key of Redis that has to do with the job."""
    keys: Any = disco.session.connection.redis.keys("*")
    return [key for key in keys if job.replace("@", "-").encode() in key.replace(b"@", b"-")]


def test_kill_ends_the_running_tasks(own_disco: Disco, tmp_path: Path) -> None:
    job = submit(own_disco, tmp_path)
    wait_until(lambda: len(begun(tmp_path)) == 2)
    pids = [int(name.rpartition("-")[2]) for name in begun(tmp_path)]
    job.kill()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), timeout_s=SOON_S)
    assert job.results()[0] == "dead"
    job.kill()  # again, without harm
    assert job.jobinfo()["cause"]["message"] == "it was killed"
    assert job.oob_list() == []


def test_purge_leaves_nothing_in_redis_or_on_disk(own_disco: Disco, tmp_path: Path) -> None:
    # given
    (tmp_path / "gate").touch()
    job = submit(own_disco, tmp_path)
    job.wait(timeout=30)
    assert own_disco._cluster is not None
    files = own_disco._cluster.directory / "data" / job.name
    assert list(files.iterdir())
    # when
    job.purge()
    # then
    assert not files.exists()
    wait_until(lambda: keys_of(own_disco, job.name) == [])
    assert own_disco.joblist() == []
    job.purge()  # again, without harm


def test_a_purge_of_a_job_that_has_ended_waits_for_no_node(own_disco: Disco, tmp_path: Path) -> None:
    # given a job that is ready, and workers that do nothing more
    (tmp_path / "gate").touch()
    job = submit(own_disco, tmp_path)
    results = job.wait(timeout=30)
    workers = worker_processes(own_disco)
    assert workers
    for process in workers:
        process.suspend()
    try:
        # when it is purged
        job.purge()
        # then nobody can read it
        assert job.results()[0] == "unknown job"
        with pytest.raises(DataError, match="the result is gone"):
            list(result_iterator(results))
    finally:
        for process in workers:
            process.resume()


def test_an_active_job_can_be_purged(own_disco: Disco, tmp_path: Path) -> None:
    job = submit(own_disco, tmp_path)
    wait_until(lambda: len(begun(tmp_path)) == 2)
    job.purge()
    assert own_disco._cluster is not None
    files = own_disco._cluster.directory / "data" / job.name
    wait_until(lambda: not files.exists())
    wait_until(lambda: not own_disco.nodeinfo()["active"])
    wait_until(lambda: keys_of(own_disco, job.name) == [])


def test_a_plain_rq_worker_joins_as_a_node(own_disco: Disco, tmp_path: Path) -> None:
    # given a node of one plain rq worker
    data = tmp_path / "data"
    environment = {
        **os.environ,
        "DISCO_RQ_REDIS": own_disco.url,
        "DISCO_RQ_NODE": "plain",
        "DISCO_RQ_DATA": str(data),
    }
    workers = Path(__file__).parents[2] / "workers"
    options = ["--path", str(workers), "-c", "disco_node", "-w", "disco_rq.worker.DiscoWorker"]
    rq = Path(sys.executable).with_name("rq")
    worker = subprocess.Popen([str(rq), "worker", *options], env=environment)
    try:
        wait_until(lambda: any(n["node"] == "plain" for n in own_disco.nodeinfo()["available"]))
        # when the other node gets no tasks
        own_disco.blacklist("localhost")
        (tmp_path / "gate").touch()
        job = submit(own_disco, tmp_path)
        # then the plain worker does them all, and its results are read
        assert_right(job)
        assert job.jobinfo()["nodes"] == ["plain"]
    finally:
        worker.terminate()
        assert worker.wait(timeout=20) == 0
    wait_until(lambda: {n["node"]: n["max_workers"] for n in own_disco.nodeinfo()["available"]}["plain"] == 0)
