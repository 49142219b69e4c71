"""What a person at a shell meets who does something unusual: a line that says what is so, and no silence."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq.client.embedded import EmbeddedCluster
from tests.cluster.conftest import wait_until
from tests.cluster.user import User
from tests.nodes import NodeCluster
from tests.services import TcpServer

PROGRAM = """
import os, time

def map(line, params):
    if line == "dies":
        os.kill(os.getpid(), 9)
    if line == "sleeps":
        time.sleep(60)
    yield line, 1
"""

WAITING_PROGRAM = """
import pathlib, time

def map(gate, params):
    while not pathlib.Path(gate).exists():
        time.sleep(0.01)
    yield gate, 1
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with EmbeddedCluster(1) as running:
        yield running.url


@pytest.fixture
def user(cluster: str, tmp_path: Path) -> User:
    (tmp_path / "job.py").write_text(PROGRAM)
    return User(tmp_path, cluster)


@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"])
def test_standard_input_is_no_input(user: User, name: str) -> None:
    seen = user.types("run", "job.py", "--quiet", "--", name, status=1)

    why = "tasks cannot read what is open here: write it to a file first"
    assert seen.err == f"disco-rq: input {name}: {why}\n"


def test_a_result_that_nobody_can_have_is_refused_as_an_input(user: User) -> None:
    seen = user.types("submit", "job.py", "disco://n1/nope@1/map-0.1", status=1)

    assert "input disco://n1/nope@1/map-0.1: not the address of a result" in seen.err


def test_cat_says_that_it_waits(user: User) -> None:
    user.types("submit", "job.py", "raw://sleeps")

    with user.starts("cat", "@") as cat:
        assert cat.stderr is not None
        assert "is active: waiting for its end" in cat.stderr.readline()
        user.types("kill", "@")
        assert cat.wait(timeout=20) == 1


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_has_ended_is_not_paused(user: User, verb: str) -> None:
    user.types("run", "job.py", "raw://x", "--quiet")

    assert "has ended: it is ready" in user.types(verb, "@", status=1).err


def test_workers_of_a_cluster_that_is_there_already_are_refused(user: User) -> None:
    seen = user.types("run", "job.py", "raw://x", "--workers", "3", status=1)

    assert "--workers is for a cluster of its own" in seen.err


def test_purging_goes_on_when_nobody_reads_which(user: User) -> None:
    jobs = [user.types("submit", "job.py", "raw://x").out.strip() for _ in range(4)]
    for job in jobs:
        user.types("wait", job, "--quiet")

    with user.starts("purge", "--older", "0s") as purge:
        assert purge.stdout is not None
        purge.stdout.close()
        assert purge.wait(timeout=30) == 0

    listed = user.types("jobs").out
    assert [job for job in jobs if job in listed] == []


def test_a_map_only_job_has_no_word_of_reduces(user: User) -> None:
    user.types("run", "job.py", "raw://x", "--quiet")

    assert "reduce" not in user.types("info", "@").out


def test_a_single_failure_is_told_as_it_is(user: User) -> None:
    (user.home / "job.py").write_text(f"max_failures = 0\n{PROGRAM}")
    user.types("run", "job.py", "raw://dies", "--quiet", status=1)

    first = user.types("failures", "@").lines[0]

    assert "the process of the task was killed by SIGKILL, peak memory " in first
    assert "#" not in first


def test_the_story_of_a_killed_job_does_not_look_like_an_accident(user: User) -> None:
    user.types("submit", "job.py", "raw://sleeps")
    wait_until(lambda: user.types("tasks", "@").rows[0][1] == "running")
    user.types("kill", "@")

    def story() -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = user.types("story", "@", "map:0", "--json").json
        return told

    wait_until(lambda: story()[0]["outcome"] == "killed")
    assert story()[0]["error"] == "it was stopped: its job has ended, or another attempt was first"


@pytest.mark.parametrize("database", ["abc", "0/1", "-1"])
def test_a_database_that_is_no_number_is_refused(user: User, database: str) -> None:
    seen = user.types("jobs", "--redis", f"redis://127.0.0.1:1/{database}", status=1)

    assert f"'{database}' is no number of a database" in seen.err


@pytest.mark.parametrize("scheme", ["bundled", "debian"])
def test_a_login_that_is_refused_is_told_at_once(
    user: User, scheme: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    binary = None if scheme == "bundled" else request.getfixturevalue("redis_server")
    with TcpServer(tmp_path, binary=binary) as server:  # which has no password
        began = time.monotonic()
        seen = user.types("jobs", "--redis", server.url(":pw@"), status=1)

    assert "refuses the login" in seen.err
    assert time.monotonic() - began < 15  # not the half minute for which a server that is away is waited for


def test_a_wait_says_that_redis_is_away_and_goes_on(nodes: NodeCluster, tmp_path: Path) -> None:
    # given somebody who waits for a job
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    (tmp_path / "job.py").write_text(WAITING_PROGRAM)
    user = User(tmp_path, nodes.url)
    user.types("submit", "job.py", f"raw://{tmp_path}/gate")
    with user.starts("wait", "@", "--quiet") as wait:
        clients: Any = nodes.connection.redis.client_list
        wait_until(lambda: [one["cmd"] for one in clients()].count("xread") == 2)  # the master waits so, too
        # when Redis is killed and comes back
        nodes.kill_redis()
        assert wait.stderr is not None
        told = wait.stderr.readline()
        nodes.start_redis()
        (tmp_path / "gate").touch()
        out, err = wait.communicate(timeout=60)
    # then
    assert "cannot be reached" in told
    assert "waiting up to 30 s" in told
    assert wait.returncode == 0, err
    assert out.startswith("disco://n1/")


def test_a_second_node_program_for_the_same_node_is_refused(nodes: NodeCluster) -> None:
    nodes.master()
    node = nodes.node("n1")
    nodes.wait_ready()
    before = nodes.connection.redis.hgetall("disco:node:n1")

    command = [sys.executable, "-m", "disco_rq.cli", "node", "--node", "n1", "--data", str(nodes.data("n1"))]
    second = subprocess.run(
        [*command, "--slots", "0"], env={**nodes.environment}, capture_output=True, text=True, timeout=30
    )

    assert second.returncode == 1
    assert f"node n1 runs already here, on {nodes.data('n1')}: end process {node.pid}" in second.stderr
    after = nodes.connection.redis.hgetall("disco:node:n1")
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert after[b"url"] == before[b"url"]
    node.kill()
    node.start()  # a lock dies with its process
    nodes.wait_ready()


@pytest.mark.parametrize(
    ("value", "as_text", "as_json", "said"),
    [
        ("'cut \\ud83d'", b"cut \\ud83d", "cut \\ud83d", ""),
        ("line", b"caf\xe9", "caf\\udce9", ""),
        ("10 ** 5000", b"1" + b"0" * 5000, "1" + "0" * 5000, "disco-rq: ints of more than 4300 digits are"),
        ("float('nan')", b"NaN", None, "disco-rq: NaN and infinite numbers are null in JSON"),
        ("{1, 2}", b"{1, 2}", [1, 2], ""),
    ],
    ids=["half a pair", "no UTF-8", "many digits", "no number", "a set"],
)
def test_every_value_that_a_job_may_give_is_printed(
    user: User, value: str, as_text: bytes, as_json: Any, said: str
) -> None:
    (user.home / "job.py").write_text(f"def map(line, params): yield 'k', {value}\n")
    (user.home / "in.txt").write_bytes(b"caf\xe9\n")

    with (user.home / "out").open("wb") as out:
        assert not user.types("run", "-q", "job.py", "in.txt", stdout=out).err
    seen = user.types("run", "-q", "--json", "job.py", "in.txt")

    assert (user.home / "out").read_bytes() == b"k\t" + as_text + b"\n"
    assert seen.json == ["k", as_json]
    assert seen.err.startswith(said)


def test_an_oob_result_goes_out_as_the_bytes_that_it_came_from(user: User) -> None:
    (user.home / "job.py").write_text("def map(line, params): put('line', line)\n")
    (user.home / "in.txt").write_bytes(b"caf\xe9\n")
    user.types("wait", "-q", user.types("submit", "job.py", "in.txt").out.strip())

    with (user.home / "out").open("wb") as out:
        user.types("oob", "get", "@", "line", stdout=out)
    assert (user.home / "out").read_bytes() == b"caf\xe9"
