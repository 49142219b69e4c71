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
from tests.chaos.test_kill_points import DEADLINE_S
from tests.cluster.conftest import wait_until
from tests.nodes import REPOSITORY, NodeCluster

pytestmark = [pytest.mark.timeout(300), pytest.mark.long]  # whoever dies is waited for; `make chaos` does

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


def submit(disco: Disco, **changes: Any) -> Job:
    """A job that dies at its last map, unless it is changed."""
    lines = [*(f"bad{i}\n{word}" for i, word in enumerate(WORDS)), "last"]
    inputs = [f"raw://{line}" for line in lines]
    options: dict[str, Any] = {"map": map_words, "sort": True, "nr_reduces": 2, "max_bad": MAPS}
    return disco.new_job("dies", inputs, reduce=reduce_words, **options | changes)


def assert_right(job: Job) -> None:
    found = dict(result_iterator(job.wait(timeout=DEADLINE_S)))
    assert found == {**Counter(WORDS), "last": 1}
    assert len(job.oob_list()) == MAPS + 1
    info = job.jobinfo()
    assert info["counters"] == {"lines": MAPS + 1, "different": len(found)}
    assert info["bad"] == MAPS
    assert len(list(job.bad_entries())) == MAPS
    assert info["mapi"][:3] == [0, 0, MAPS + 1]


def dying(nodes: NodeCluster, scratch: Path, *words: str) -> int:
    """How many lives a client takes that dies at every step, and tries again until it gets through."""
    (scratch / "marks").mkdir(exist_ok=True)
    lives, status = 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        lives += 1
        command = [sys.executable, "-m", "tests.chaos.test_kill_retry", nodes.url, str(scratch), *words]
        status = subprocess.run(command, cwd=REPOSITORY, env=nodes.environment, check=False).returncode
    assert status == 0
    return lives


@pytest.fixture
def first(nodes: NodeCluster) -> Job:
    """A job that died."""
    nodes.master()
    nodes.node("good", slots=2)
    nodes.wait_ready()
    job = submit(nodes.disco)
    with pytest.raises(JobError):
        job.wait(timeout=DEADLINE_S)
    return job


@pytest.mark.parametrize("how", ["retry", "reuse"])
def test_a_client_may_die_at_each_step_of_adopting(
    nodes: NodeCluster, first: Job, tmp_path: Path, how: str
) -> None:
    # given a job that died, or one that was mended
    source = first
    done = first.jobinfo()["mapi"][2]
    if how == "reuse":
        source = first.retry(map=mended_words)
        source.wait(timeout=DEADLINE_S)
        done = source.jobinfo()["mapi"][2] - done  # the others are of other code
    before = {first.name, source.name}
    # when a client dies at every step of another one's submit
    lives = dying(nodes, tmp_path, how, first.name)
    deadly.assert_died(tmp_path / "marks", f"client that does {how}: [{', '.join(STEPS)}]")
    # then every job of which there is anything ends right, and of the others there is nothing
    names = [name for _, _, name in nodes.disco.joblist() if name not in before]
    assert 1 <= len(names) < lives
    for name in names:
        job = nodes.disco.job(name)
        assert_right(job)
        info = job.jobinfo()
        assert info["kept"] + info["reused"] >= done
    known = {name.encode() for name in [*names, *before]}
    keys: Any = nodes.connection.redis.keys("disco:job:*")
    assert {key.split(b":")[2] for key in keys} == known
    # and when they are purged, nothing is left
    for name in [first.name, *before, *names]:
        nodes.disco.purge(name)
    assert_nothing_left(nodes)


def assert_nothing_left(nodes: NodeCluster) -> None:
    redis: Any = nodes.connection.redis
    for what in ("job:", "adopters:", "sources:", "codes:", "spared"):
        assert not redis.keys(f"disco:{what}*"), what
    data = nodes.data("good")
    wait_until(lambda: not list(data.glob("dies@*")))


def test_who_purges_may_die_at_each_step(nodes: NodeCluster, first: Job, tmp_path: Path) -> None:
    # given a job that goes on with another one's outputs
    job = first.retry(map=mended_words)
    assert_right(job)
    # when the old one is purged by a client that dies at every step
    dying(nodes, tmp_path, "purge", first.name)
    # then the new one has its results, whatever is left of the other one
    assert_right(job)
    assert first.name not in [name for _, _, name in nodes.disco.joblist()]
    # and when that is purged so, too, nothing is left of either
    dying(nodes, tmp_path, "purge", job.name)
    assert_nothing_left(nodes)


if __name__ == "__main__":  # the client that dies
    scratch, action, job_name = Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    deadly.Steps(scratch / "marks", lambda: f"client that does {action}").install()
    from tests.chaos import test_kill_retry as own  # functions are shipped with their module's name

    disco = Disco(sys.argv[1])
    if action == "retry":
        disco.job(job_name).retry(map=own.mended_words)
    elif action == "reuse":
        own.submit(disco, map=own.mended_words, reuse=True)
    else:
        disco.purge(job_name)
