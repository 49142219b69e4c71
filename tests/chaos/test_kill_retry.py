"""Kill points of ``retry``: whoever dies at any step of it, nothing is lost, doubled, or left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, JobError, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, put, this_partition
from tests.chaos import deadly
from tests.chaos.test_kill_points import DEADLINE_S, assert_died
from tests.nodes import REPOSITORY, NodeCluster

MAPS = 24
STEPS = ("script submit_job of dies", "script adopt_tasks of dies")
WORDS = [f"w{i % 5}" for i in range(MAPS)]


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """Fails at the last line, and leaves bad entries out."""
    put(f"map:{this_partition()}", line)
    counter("lines")
    if line.startswith("bad"):
        raise ValueError(line)
    if line == "last":
        raise SystemExit(3)
    yield line, 1


def mended_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"map:{this_partition()}", line)
    counter("lines")
    if line.startswith("bad"):
        raise ValueError(line)
    yield line, 1


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in kvgroup(pairs):
        counter("different")
        yield word, sum(ones)


def submit(disco: Disco) -> Job:
    """A job that dies at its last map."""
    lines = [*(f"bad{i}\n{word}" for i, word in enumerate(WORDS)), "last"]
    inputs = [f"raw://{line}" for line in lines]
    options: dict[str, Any] = {"sort": True, "nr_reduces": 2, "max_bad": MAPS}
    return disco.new_job("dies", inputs, map=map_words, reduce=reduce_words, **options)


def assert_right(job: Job) -> None:
    found = dict(result_iterator(job.wait(timeout=DEADLINE_S)))
    assert found == {**Counter(WORDS), "last": 1}
    assert len(job.oob_list()) == MAPS + 1
    info = job.jobinfo()
    assert info["counters"] == {"lines": MAPS + 1, "different": len(found)}
    assert info["bad"] == MAPS
    assert len(list(job.bad_entries())) == MAPS
    assert info["mapi"][:3] == [0, 0, MAPS + 1]


def test_a_client_may_die_at_each_step_of_its_retry(nodes: NodeCluster, tmp_path: Path) -> None:
    # given a job that died
    nodes.master()
    nodes.node("good", slots=2)
    nodes.wait_ready()
    first = submit(nodes.disco)
    with pytest.raises(JobError):
        first.wait(timeout=DEADLINE_S)
    done = first.jobinfo()["mapi"][2]
    (tmp_path / "marks").mkdir()
    # when a client dies at every step of its retry, and tries again until it gets through
    status, lives = -signal.SIGKILL, 0
    while status == -signal.SIGKILL:
        lives += 1
        command = [sys.executable, "-m", "tests.chaos.test_kill_retry", nodes.url, str(tmp_path), first.name]
        status = subprocess.run(command, cwd=REPOSITORY, env=nodes.environment, check=False).returncode
    assert status == 0
    assert_died(deadly.deaths(tmp_path / "marks"), f"client: [{', '.join(STEPS)}]")
    # then every job of which there is anything ends right, and of the others there is nothing
    names = [name for _, _, name in nodes.disco.joblist() if name != first.name]
    assert 1 <= len(names) < lives
    for name in names:
        job = nodes.disco.job(name)
        assert_right(job)
        assert job.jobinfo()["kept"] == done
    known = {name.encode() for name in [*names, first.name]}
    keys: Any = nodes.connection.redis.keys("disco:job:*")
    assert {key.split(b":")[2] for key in keys} == known
    # and when they are purged, in whatever order, and whoever dies meanwhile, nothing is left
    for name in [first.name, *names]:
        nodes.disco.purge(name)
    assert not nodes.connection.redis.keys("disco:job:*")
    assert not nodes.connection.redis.keys("disco:adopters:*")
    assert not nodes.connection.redis.keys("disco:sources:*")


if __name__ == "__main__":  # the client that dies
    scratch = Path(sys.argv[2])
    deadly.Steps(scratch / "marks", lambda: "client").install()
    from tests.chaos import test_kill_retry  # the functions of a job are shipped with their module's name

    Disco(sys.argv[1]).job(sys.argv[3]).retry(map=test_kill_retry.mended_words)
