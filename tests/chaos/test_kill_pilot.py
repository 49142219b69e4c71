"""Kill points of pilots, of unique jobs, and of ends that are told: whoever dies, each happens once."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rq import Queue

from disco_rq import Disco, Job, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, data_err, this_partition
from disco_rq.store import keys
from disco_rq.store.ends import end_id
from tests.chaos import deadly
from tests.chaos.test_kill_points import DEADLINE_S, deadly_part
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import is_first_attempt
from tests.nodes import REPOSITORY, NodeCluster

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]  # whoever dies is waited for; `make chaos` does

NAMES = [f"n{i}" for i in range(4)]
MAPS, PILOT = 24, 6
QUEUE = "ends"
WORDS = [f"w{i % 5}" for i in range(MAPS)]


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """Every third of them gives up in its first attempt."""
    if this_partition() % 3 == 0 and is_first_attempt(f"{params}/map-{this_partition()}"):
        data_err("this once")
    counter("lines")
    yield line, 1


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in kvgroup(pairs):
        yield word, sum(ones)


def submit(disco: Disco, directory: Path, **more: Any) -> Job:
    directory.mkdir(exist_ok=True)
    options: dict[str, Any] = {"sort": True, "nr_reduces": 2, "max_failures": 1000, "params": str(directory)}
    told = {"pilot": PILOT, "on_end": ("users.told", QUEUE), **more}
    inputs = [f"raw://{word}" for word in WORDS]
    return disco.new_job("piloted", inputs, map=map_words, reduce=reduce_words, **options, **told)


def run_one(cluster: NodeCluster, directory: Path) -> None:
    """A job with a pilot: all of that runs, and nothing else before its resume; all of it counts once."""
    job = submit(cluster.disco, directory)
    wait_until(lambda: job.jobinfo()["paused"], DEADLINE_S)
    info = job.jobinfo()
    assert (info["mapi"][2], info["pilot"]["done"]) == (PILOT, PILOT)
    assert info["pilot"]["seconds"]["low"] <= info["pilot"]["seconds"]["high"]
    job.resume()
    assert dict(result_iterator(job.wait(timeout=DEADLINE_S))) == Counter(WORDS)
    assert job.jobinfo()["counters"] == {"lines": MAPS}
    assert sum("The pilot is done" in message for _, (_, _, message) in job.events()) == 1


def run_jobs_until_nobody_dies(cluster: NodeCluster, marks: Path, scratch: Path, *steps: str) -> None:
    """Job after job, until nobody dies any more; then each end is told once."""
    deadly.run_until_nobody_dies(marks, lambda number: run_one(cluster, scratch / f"job{number}"), *steps)
    names = [name for _, _, name in cluster.disco.joblist()]
    redis = cluster.connection.redis
    wait_until(lambda: redis.hlen(keys.ENDS) == 0, 30)
    assert sorted(Queue(QUEUE, connection=redis).job_ids) == sorted(map(end_id, names))


def test_nodes_workers_and_horses_may_die_at_each_step_of_a_pilot(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    deadly_part(nodes, tmp_path / "marks", "nodes", *NAMES)

    steps = [f"horse: script commit_attempts of {phase} of piloted" for phase in ("map", "reduce")]
    run_jobs_until_nobody_dies(nodes, tmp_path / "marks", tmp_path, *steps)


def test_masters_may_die_at_each_step_of_a_pilot_and_of_telling_its_end(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    for name in NAMES[:2]:
        nodes.node(name, slots=2)
    deadly_part(nodes, tmp_path / "marks", "master", "token")

    steps = ["master: HKEYS disco:ends", "master: [HDEL disco:ends", "master: HGET disco:ends"]
    run_jobs_until_nobody_dies(nodes, tmp_path / "marks", tmp_path, *steps)


def test_a_client_may_die_at_each_step_of_the_submit_of_a_unique_job(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    # given a good cluster
    nodes.master()
    nodes.node("good", slots=2)
    nodes.wait_ready()
    (tmp_path / "marks").mkdir()
    # when a client dies at every step of the submit, and tries again until it gets through
    status = -signal.SIGKILL
    while status == -signal.SIGKILL:
        command = [sys.executable, "-m", "tests.chaos.test_kill_pilot", nodes.url, str(tmp_path)]
        status = subprocess.run(command, cwd=REPOSITORY, env=nodes.environment, check=False).returncode
    assert status == 0
    deadly.assert_died(tmp_path / "marks", "client: script submit_job of piloted")
    # then there is one job, which waits after its pilot, and its end makes room for another
    [(_, _, name)] = nodes.disco.joblist()
    wait_until(lambda: nodes.disco.jobinfo(name)["paused"], DEADLINE_S)
    nodes.disco.kill(name)
    assert submit(nodes.disco, tmp_path / "same", unique=True).name != name


if __name__ == "__main__":  # the client that dies
    scratch = Path(sys.argv[2])
    deadly.Steps(scratch / "marks", lambda: "client").install()
    from tests.chaos import test_kill_pilot  # the functions of a job are shipped with their module's name

    test_kill_pilot.submit(Disco(sys.argv[1]), scratch / "same", unique=True)
