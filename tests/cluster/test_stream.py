"""Results as soon as they are committed: each pair once, in the order of commits, whatever dies meanwhile."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, JobError, Params, UnknownJob, local, result_iterator
from disco_rq.runtime import err, this_partition
from disco_rq.store import keys
from tests.cluster.conftest import wait_until
from tests.cluster.user import User
from tests.gated import GatedJob
from tests.nodes import NodeCluster


def gated(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    """Ends when the file of its name is there."""
    while not Path(params.directory, entry).exists():
        time.sleep(0.005)
    for i in range(3):
        yield entry, i
    if entry == "bad":
        err("that was it")


def started(disco: Disco, directory: Path, entries: str, **arguments: Any) -> Job:
    inputs = [f"raw://{entry}" for entry in entries.split(",")]
    return disco.new_job("gated", inputs, map=gated, params=Params(directory=str(directory)), **arguments)


def threes(*entries: str) -> list[tuple[str, int]]:
    return [(entry, i) for entry in entries for i in range(3)]


def test_pairs_come_in_the_order_of_commits_while_the_job_goes_on(disco: Disco, tmp_path: Path) -> None:
    job = started(disco, tmp_path, "a,b")
    stream = job.stream()
    (tmp_path / "b").touch()
    assert list(itertools.islice(stream, 3)) == threes("b")
    assert job.jobinfo()["active"] == "active"
    (tmp_path / "a").touch()
    assert list(stream) == threes("a")
    assert list(job.stream()) == threes("b", "a"), "the same order after the end"
    assert list(result_iterator(job)) == threes("a", "b"), "the order of results"


def test_results_of_reduces_are_streamed_and_no_map_output(disco: Disco) -> None:
    def total(pairs: Any, params: Any) -> Iterator[tuple[int, int]]:
        yield this_partition(), sum(value for _, value in pairs)

    inputs = [f"raw://{i}" for i in range(8)]
    job = disco.new_job("sum", inputs, map=lambda e, p: [(e, int(e))], reduce=total, nr_reduces=3)
    assert sorted(key for key, _ in job.stream()) == [0, 1, 2]
    assert sum(value for _, value in disco.stream(job.name)) == sum(range(8))


def test_a_job_without_results_ends_at_once(disco: Disco) -> None:
    assert list(disco.new_job("empty", [], map=gated).stream()) == []


def test_what_was_committed_comes_before_the_death(disco: Disco, tmp_path: Path) -> None:
    job = started(disco, tmp_path, "a,bad")
    stream = job.stream()
    (tmp_path / "a").touch()
    assert list(itertools.islice(stream, 3)) == threes("a")
    (tmp_path / "bad").touch()
    with pytest.raises(JobError, match="that was it"):
        list(stream)
    found: list[Any] = []
    with pytest.raises(JobError, match="that was it"):
        found.extend(job.stream())
    assert found == threes("a")


def test_a_job_that_is_killed_or_purged_ends_its_stream(disco: Disco, tmp_path: Path) -> None:
    job = started(disco, tmp_path, "a,b")
    stream = job.stream()
    (tmp_path / "a").touch()
    next(stream)
    threading.Timer(0.2, job.kill).start()
    with pytest.raises(JobError, match="it was killed"):
        list(stream)
    stream = job.stream()
    next(stream)
    job.purge()
    with pytest.raises(UnknownJob, match="forgotten"):
        list(stream)
    with pytest.raises(UnknownJob, match="unknown job"):
        next(job.stream())


@pytest.mark.parametrize("format", ["msgpack", "jsonl"])
def test_saved_results_are_streamed_and_nothing_of_other_attempts_is_touched(
    disco: Disco, tmp_path: Path, format: str
) -> None:
    save = tmp_path / "out"
    job = started(disco, tmp_path, "a,b", save=str(save), save_format=format)
    stream = job.stream()
    (tmp_path / "b").touch()
    assert list(itertools.islice(stream, 3)) == threes("b")
    (tmp_path / "a").touch()
    assert list(stream) == threes("a")
    names = sorted(path.name.partition(".")[0] for path in (save / job.name).iterdir())
    assert names == ["part-00000", "part-00001"]


def test_an_own_writer_takes_its_reader(disco: Disco) -> None:
    def write(fd: Any, key: str, value: int, params: Any) -> None:
        fd.write(f"{key}={value};".encode())

    job = disco.new_job("own", ["raw://a"], map=lambda e, p: [(e, 1)], map_writer=write)
    assert list(job.stream(lambda fd, size, name: [fd.read()])) == [b"a=1;"]


def test_another_attempt_than_the_one_that_was_given_out_is_an_error(disco: Disco, tmp_path: Path) -> None:
    """As after a failover that has lost a commit."""
    job = started(disco, tmp_path, "a,b")
    stream = job.stream()
    (tmp_path / "a").touch()
    assert list(itertools.islice(stream, 3)) == threes("a")
    redis: Any = disco.session.connection.redis
    [(_, fields)] = redis.xrange(keys.JobKeys(job.name).commits)
    redis.xadd(keys.JobKeys(job.name).commits, {**fields, b"o": fields[b"o"].replace(b"0.1", b"0.2")})
    with pytest.raises(JobError, match=r"map:0 of job .* was revoked"):
        list(stream)
    job.purge()


def test_results_of_which_the_order_was_lost_come_at_the_end(disco: Disco, tmp_path: Path) -> None:
    for entry in "ab":
        (tmp_path / entry).touch()
    job = started(disco, tmp_path, "a,b")
    job.wait(60)
    redis: Any = disco.session.connection.redis
    redis.delete(keys.JobKeys(job.name).commits)
    assert list(job.stream()) == threes("a", "b")


def test_results_that_a_retry_has_kept_come_first(disco: Disco, tmp_path: Path) -> None:
    dead = started(disco, tmp_path, "a,bad,b")
    for entry in ("a", "b"):
        (tmp_path / entry).touch()
    wait_until(lambda: dead.jobinfo()["mapi"][2] == 2)
    (tmp_path / "bad").touch()
    with pytest.raises(JobError):
        dead.wait(60)
    (tmp_path / "bad").unlink()
    job = dead.retry(map=gated_and_good)
    stream = job.stream()
    assert list(itertools.islice(stream, 6)) == threes("a", "b")
    (tmp_path / "bad").touch()
    assert list(stream) == [("bad", 0)]


def gated_and_good(entry: str, params: Any) -> list[tuple[str, int]]:
    while not Path(params.directory, entry).exists():
        time.sleep(0.005)
    return [(entry, 0)]


def test_a_slow_reader_holds_nobody_up(disco: Disco, tmp_path: Path) -> None:
    job = started(disco, tmp_path, "a,b")
    stream = job.stream()
    (tmp_path / "a").touch()
    next(stream)
    (tmp_path / "b").touch()
    job.wait(60)
    assert len(list(stream)) == 5


def test_a_local_job_has_a_stream_too(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    job = local.run("gated", ["raw://a"], map=gated, params=Params(directory=str(tmp_path)))
    assert list(job.stream()) == threes("a")


# -- deaths


def test_it_goes_on_over_the_deaths_of_redis_master_and_a_node(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.node("n2")
    nodes.wait_ready()
    gate = GatedJob(nodes.disco, tmp_path / "gates", max_failures=9)
    found: list[Any] = []

    def read() -> None:
        found.extend(gate.job.stream())

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: gate.traces("map"))
    nodes.kill_redis()
    time.sleep(0.2)
    nodes.start_redis()
    nodes.masters[0].kill()
    nodes.master()
    gate.open_gate("maps")
    wait_until(lambda: gate.traces("reduce"))
    nodes.nodes["n1"].kill()
    gate.open_gate("reduces")
    nodes.nodes["n1"].start()
    reader.join(90)
    assert sorted(found) == sorted(Counter(" ".join(gate.lines).split()).items())


def test_a_result_that_is_away_is_waited_for(nodes: NodeCluster, tmp_path: Path) -> None:
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    (tmp_path / "a").touch()
    job = started(nodes.disco, tmp_path, "a")
    job.wait(60)
    files = nodes.data("n1")
    nodes.nodes["n1"].kill()
    files.rename(tmp_path / "away")

    def comes_back() -> None:
        (tmp_path / "away").rename(files)
        nodes.nodes["n1"].start()

    back = threading.Timer(1.0, comes_back)
    back.start()
    assert list(job.stream()) == threes("a")
    back.join()


# -- the command line


def test_cat_follows_a_job(disco: Disco, tmp_path: Path) -> None:
    user = User(tmp_path, disco.url)
    job = started(disco, tmp_path, "a,b")
    with user.starts("cat", "-f", job.name, "--json") as going:
        (tmp_path / "b").touch()
        assert going.stdout is not None
        assert [going.stdout.readline() for _ in range(3)] == [f'["b", {i}]\n' for i in range(3)]
        (tmp_path / "a").touch()
        out, _ = going.communicate(timeout=60)
        assert out.splitlines() == [f'["a", {i}]' for i in range(3)]
        assert going.returncode == 0
    bad = started(disco, tmp_path, "bad")
    (tmp_path / "bad").touch()
    assert "that was it" in user.types("cat", "-f", bad.name, status=1).err
    assert "do not grow" in user.types("cat", "-f", "./x", status=2).err


PROGRAM = """
import time, pathlib
def map(entry, params):
    while not pathlib.Path(entry).exists():
        time.sleep(0.005)
    yield entry, 1
"""


def test_run_prints_what_is_done(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    inputs = [f"raw://{tmp_path / name}" for name in "ab"]
    with User(tmp_path, disco.url).starts("run", "--stream", "-q", "program.py", *inputs) as going:
        (tmp_path / "b").touch()
        assert going.stdout is not None
        assert going.stdout.readline() == f"{tmp_path / 'b'}\t1\n"
        (tmp_path / "a").touch()
        assert going.communicate(timeout=60) == (f"{tmp_path / 'a'}\t1\n", "")


def test_a_run_that_nobody_reads_any_more_is_purged(disco: Disco, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "a").touch()
    inputs = [f"raw://{tmp_path / name}" for name in "ab"]
    with User(tmp_path, disco.url).starts(
        "run", "--stream", "--name", "unread", "program.py", *inputs, stdout=subprocess.PIPE
    ) as going:
        assert going.stdout is not None
        going.stdout.readline()
        going.stdout.close()
        going.wait(60)
    assert not [name for _, _, name in disco.joblist() if name.startswith("unread@")]


def test_a_run_with_a_pilot_goes_on_by_itself_where_it_is_told_to(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    for name in "abc":
        (tmp_path / name).touch()
    inputs = [f"raw://{tmp_path / name}" for name in "abc"]
    seen = User(tmp_path).types("run", "--stream", "--pilot", "1", "--yes", "-q", "program.py", *inputs)
    assert sorted(seen.lines) == [f"{tmp_path / name}\t1" for name in "abc"]
