"""What clients, workers and the page act upon comes signed, or has the one form that it may have: who has the
login of Redis, and not the secret, has nothing else read, renamed or deleted.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest

from disco_rq import Disco, Job, result_iterator
from disco_rq.errors import BadSignature
from disco_rq.func import total_order
from disco_rq.master.retention import Retention
from disco_rq.packing import JobSeal
from disco_rq.shuffle.ranges import Ranges
from disco_rq.store import keys
from disco_rq.web.access import token
from tests.cluster.test_signed_jobs import REFUSED, SECRET, ended, held, pairs, signed
from tests.nodes import NodeCluster

PART = ".part-00000.1-deadbeef.disco"


@pytest.fixture
def cluster(nodes: NodeCluster, monkeypatch: pytest.MonkeyPatch) -> NodeCluster:
    return signed(nodes, monkeypatch)


def tell(cluster: NodeCluster, job: Job, task: str, address: str) -> None:
    """As who has the login of Redis."""
    cluster.connection.redis.hset(keys.JobKeys(job.name).outputs, task, address)


def saved_job(cluster: NodeCluster, directory: Path) -> tuple[Job, str]:
    """A job that has saved its results there; and the file that its one part is in."""
    job = cluster.disco.new_job("saved", ["raw://a"], map=pairs, save=str(directory))
    [address] = job.wait(timeout=30)
    return job, address


def previewed(cluster: NodeCluster, job: Job) -> dict[str, Any]:
    request = urllib.request.Request(f"{cluster.disco.http_url}/api/v1/jobs/{job.name}/results/0/preview")
    request.add_header("Authorization", f"Bearer {token(SECRET.encode(), 'viewer')}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def test_an_output_is_read_where_an_attempt_of_its_task_has_left_it_and_nowhere_else(
    cluster: NodeCluster, tmp_path: Path
) -> None:
    job = cluster.disco.new_job("kept", ["raw://a", "raw://b"], map=pairs)
    first, second = job.wait(timeout=30)
    other = cluster.disco.new_job("other", ["raw://c"], map=pairs).wait(timeout=30)[0]
    stolen = tmp_path / "secrets.jsonl"
    stolen.write_text('["stolen", 1]\n')
    for address in (
        second,
        other,
        str(stolen),
        stolen.as_uri(),
        "raw://x.jsonl",
        f"{first}/../x",
        "",
        "disco",
    ):
        tell(cluster, job, "map:0", address)
        for read in (job.wait, job.results, job.jobinfo):
            with pytest.raises(BadSignature, match=f"is not an output of map:0 of {job.name}"):
                read()
        shown = previewed(cluster, job)
        assert (shown["records"], "is not an output of map:0" in shown["error"]) == ([], True)
    tell(cluster, job, "map:0", first)
    tell(cluster, job, "no task", first)
    with pytest.raises(BadSignature, match="is not an output of no task"):
        job.wait()


def test_a_saved_result_is_renamed_where_its_signed_spec_says_and_nowhere_else(
    cluster: NodeCluster, tmp_path: Path
) -> None:
    job, part = saved_job(cluster, tmp_path / "saved")
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / PART).write_text("of somebody else")
    forged = f"{theirs}/{PART}"
    redis = cluster.connection.redis
    spec_key = keys.JobKeys(job.name).spec
    spec = redis.get(spec_key)
    assert isinstance(spec, bytes)
    # when the address of the result is told to be elsewhere, then the spec, too
    (theirs / job.name).mkdir()
    (theirs / job.name / PART).write_text("of somebody else")
    for address, save in ((forged, None), (f"{theirs}/{job.name}/{PART}", str(theirs))):
        tell(cluster, job, "map:0", address)
        if save is not None:
            redis.set(spec_key, msgpack.packb(msgpack.unpackb(spec) | {"save": save}))
        with pytest.raises(BadSignature):
            job.wait()
        assert previewed(cluster, job)["records"] == []
    # and when the master forgets the job
    Retention(cluster.connection, None, SECRET.encode())._purge(job.name)
    assert not redis.exists(spec_key)
    # then nothing there has moved, and what was saved is there
    assert sorted(path.name for path in theirs.iterdir()) == [PART, job.name]
    assert [path.name for path in (theirs / job.name).iterdir()] == [PART]
    assert list(result_iterator([part])) == [("a", 1)]


def test_purge_and_clean_name_what_is_the_jobs_own(cluster: NodeCluster, tmp_path: Path) -> None:
    theirs = tmp_path / PART
    theirs.write_text("of somebody else")
    for end in (Job.clean, Job.purge):
        job, part = saved_job(cluster, tmp_path / end.__name__)
        # given a part that was committed and is not yet named, and a forged one beside it
        hidden = Path(part).with_name(PART)
        Path(part).rename(hidden)
        tell(cluster, job, "map:0", str(hidden))
        tell(cluster, job, "map:1", str(theirs))
        # when the job is forgotten
        end(job)
        # then its own has its name, and the other one is where it was
        assert Path(part).exists()
        assert theirs.exists()


def test_ranges_that_no_task_of_the_job_has_made_part_no_keys(cluster: NodeCluster) -> None:
    redis: Any = cluster.connection.redis
    bounds = Ranges(["a"]).pack()
    forgeries: list[Callable[[str], bytes]] = [
        lambda _: bounds,
        lambda name: JobSeal(name, None).seal_ranges(bounds),
        lambda name: JobSeal(name, b"another").seal_ranges(bounds),
        lambda _: JobSeal("another@20260101-000000-abcd", SECRET.encode()).seal_ranges(bounds),
        lambda _: b"",
    ]
    for forge in forgeries:
        job = held(cluster, partition=total_order, nr_reduces=2)
        redis.set(keys.JobKeys(job.name).ranges, forge(job.name))
        cause = ended(cluster, job)
        assert REFUSED in cause
        assert "ranges of keys" in cause
    assert ended(cluster, held(cluster, partition=total_order, nr_reduces=2)) == ""


def test_without_a_secret_an_address_has_its_form_all_the_same(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    with Disco(nodes.url) as disco:
        job = disco.new_job("saved", ["raw://a"], map=pairs, save=str(tmp_path / "saved"))
        assert list(result_iterator(job.wait(timeout=30))) == [("a", 1)]
        tell(nodes, job, "map:0", str(tmp_path / PART))
        with pytest.raises(BadSignature, match="is not an output of map:0"):
            job.wait()
