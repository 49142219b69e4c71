"""What a worker acts upon is what a client has signed: who can write to Redis, and no more, is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgpack
import pytest

from disco_rq import Disco, Job, JobError, result_iterator
from disco_rq.func import kvgroup
from disco_rq.model import Input, MapInput
from disco_rq.outputs.datadir import CLUSTER_ID
from disco_rq.packing import JobSeal
from disco_rq.store import keys
from disco_rq.store.attempts import seal_input
from tests.nodes import NodeCluster

SECRET = "marked-secret-4713"
REFUSED = "BadSignature"


def pairs(line: str, params: Any) -> Iterator[tuple[str, int]]:
    yield line, 1


def total(entries: Any, params: Any) -> Iterator[tuple[str, int]]:
    for key, values in kvgroup(entries):
        yield key, sum(values)


def signed(nodes: NodeCluster, monkeypatch: pytest.MonkeyPatch) -> NodeCluster:
    """A cluster with a secret, and one node."""
    monkeypatch.setenv("DISCO_RQ_SECRET", SECRET)
    nodes.environment["DISCO_RQ_SECRET"] = SECRET
    nodes.disco.close()
    nodes.disco = Disco(nodes.url)
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    return nodes


@pytest.fixture
def cluster(nodes: NodeCluster, monkeypatch: pytest.MonkeyPatch) -> NodeCluster:
    return signed(nodes, monkeypatch)


def held(cluster: NodeCluster, name: str = "held", **arguments: Any) -> Job:
    """A job of which nothing runs before ``ended``."""
    cluster.disco.blacklist("n1")
    given: dict[str, Any] = {
        "input": ["raw://a", "raw://b"],
        "map": pairs,
        "reduce": total,
        "nr_reduces": 1,
    } | arguments
    return cluster.disco.new_job(name, given.pop("input"), **given)


def ended(cluster: NodeCluster, job: Job) -> str:
    """Let it run: the cause of its death, "" if it is ready."""
    cluster.disco.whitelist("n1")
    try:
        job.wait(timeout=30)
    except JobError as error:
        return str(error)
    return ""


def alter_spec(cluster: NodeCluster, job: Job, **changes: Any) -> None:
    key = keys.JobKeys(job.name).spec
    spec = msgpack.unpackb(cluster.connection.redis.get(key))
    cluster.connection.redis.set(key, msgpack.packb(spec | changes))


def test_a_spec_that_its_client_has_not_signed_runs_nothing(cluster: NodeCluster, tmp_path: Path) -> None:
    stolen = tmp_path / "stolen"
    for changes in (
        {"save": str(stolen), "save_format": "msgpack"},
        {"task_timeout": 0.001},
        {"mem_sort_limit": 1},
        {"sort": True},
        {"nr_maps": 1},
    ):
        job = held(cluster)
        alter_spec(cluster, job, **changes)
        assert REFUSED in ended(cluster, job), changes
    assert not stolen.exists()
    assert ended(cluster, held(cluster)) == ""


def test_an_input_that_its_client_has_not_signed_is_not_read(cluster: NodeCluster) -> None:
    def another(redis: Any, job: keys.JobKeys) -> None:
        environ = MapInput(((Input("file:///proc/self/environ"),),))
        redis.hset(job.inputs, "1", seal_input(environ, 1, JobSeal(job.job, None)))

    def that_of_another_map(redis: Any, job: keys.JobKeys) -> None:
        redis.hset(job.inputs, "1", redis.hget(job.inputs, "0"))

    def of_another_signature(redis: Any, job: keys.JobKeys) -> None:
        environ, name = MapInput(((Input("file:///proc/self/environ"),),)), job.job.removeprefix("disco:job:")
        redis.hset(job.inputs, "1", seal_input(environ, 1, JobSeal(name, b"another")))

    def none(redis: Any, job: keys.JobKeys) -> None:
        redis.hdel(job.inputs, "1")

    forgeries: list[Callable[[Any, keys.JobKeys], None]] = [
        *(another, that_of_another_map, of_another_signature, none)
    ]
    for forge in forgeries:
        job = held(cluster)
        forge(cluster.connection.redis, keys.JobKeys(job.name))
        cause = ended(cluster, job)
        assert REFUSED in cause, forge
        assert "input 1" in cause
        assert "DISCO_RQ" not in cause


def test_what_a_reduce_without_a_map_reads_is_signed(cluster: NodeCluster) -> None:
    first = cluster.disco.new_job("first", ["raw://a", "raw://b"], map=pairs, nr_reduces=1)
    results = first.wait(timeout=30)
    redis: Any = cluster.connection.redis
    forgeries: list[Callable[[str], Any]] = [
        lambda key: redis.hdel(key, "1"),
        lambda key: redis.hset(key, "1", redis.hget(key, "0")),
        lambda key: redis.hset(key, "2", redis.hget(key, "0")),
    ]
    for forge in forgeries:
        job = held(cluster, "merged", input=results, map=None)
        forge(keys.JobKeys(job.name).inputs)
        assert REFUSED in ended(cluster, job)
    assert ended(cluster, held(cluster, "merged", input=results, map=None)) == ""


def records(cluster: NodeCluster, name: str) -> dict[bytes, bytes]:
    """All that Redis keeps of a job, as who has its login may copy it."""
    redis: Any = cluster.connection.redis
    found = [keys.JobKeys(name).job.encode(), *redis.keys(f"{keys.JobKeys(name).prefix}*")]
    return {key: redis.dump(key) for key in found}


def put_back(cluster: NodeCluster, name: str, copied: dict[bytes, bytes]) -> None:
    redis = cluster.connection.redis
    for key, value in copied.items():
        redis.restore(key, 0, value, replace=True)
    redis.zadd(keys.JOBS, {name: 1_700_000_000_000})
    redis.sadd(keys.ACTIVE, name)
    redis.xadd(keys.CONTROL, {"k": "submitted", "j": name})


def test_a_job_of_another_cluster_with_the_same_secret_does_not_run(
    cluster: NodeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = held(cluster)
    with NodeCluster() as other:
        signed(other, monkeypatch)
        put_back(other, job.name, records(cluster, job.name))
        with pytest.raises(JobError, match=r"BadSignature.*of another cluster"):
            other.disco.wait(job.name, timeout=30)
    assert ended(cluster, job) == ""


def test_a_purged_job_does_not_run_again(cluster: NodeCluster, tmp_path: Path) -> None:
    # given a job that has run, of which somebody has kept the records, and that is purged
    seen = tmp_path / "seen"
    job = held(cluster, map=tell_into(seen))
    kept = records(cluster, job.name)
    assert ended(cluster, job) == ""
    before = seen.read_text()
    job.purge()
    # when they are put back
    put_back(cluster, job.name, kept)
    # then it does not run, whether the node has run another one since or not
    with pytest.raises(JobError, match=r"BadSignature.*was purged"):
        cluster.disco.wait(job.name, timeout=30)
    assert ended(cluster, held(cluster, "another")) == ""
    put_back(cluster, job.name, kept)
    with pytest.raises(JobError, match=r"BadSignature.*was purged"):
        cluster.disco.wait(job.name, timeout=30)
    assert seen.read_text() == before


def tell_into(file: Path) -> Callable[[str, Any], Iterator[tuple[str, int]]]:
    path = str(file)

    def told(line: str, params: Any) -> Iterator[tuple[str, int]]:
        with open(path, "a") as seen:
            seen.write(f"{line}\n")
        yield line, 1

    return told


def test_a_cluster_that_redis_has_forgotten_is_the_same_again(cluster: NodeCluster) -> None:
    word = (cluster.data("n1") / CLUSTER_ID).read_text()
    assert cluster.connection.redis.get(keys.CLUSTER) == word.encode()

    cluster.connection.redis.delete(keys.CLUSTER)

    job = cluster.disco.new_job("after", ["raw://a"], map=pairs)
    assert list(result_iterator(job.wait(timeout=30))) == [("a", 1)]
    assert cluster.connection.redis.get(keys.CLUSTER) == word.encode()


def test_a_node_joins_no_other_cluster_by_itself(cluster: NodeCluster) -> None:
    node = cluster.nodes["n1"]
    node.terminate()
    cluster.connection.redis.set(keys.CLUSTER, "another")
    node.start()
    assert node.wait() == 1
    assert "belongs to another cluster" in node.last_words
    assert CLUSTER_ID in node.last_words
