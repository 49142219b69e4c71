"""Redis with Sentinel: its master is killed, or replaced, in the middle of jobs, and they end right."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import Disco, UnknownJob, result_iterator
from disco_rq.doctor import examine
from disco_rq.runtime import msg
from disco_rq.settings import PREFIX, Settings
from disco_rq.store.browsing import LiveStore
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import live_slots
from tests.authority import authority
from tests.cluster.conftest import wait_until
from tests.cluster.programs import program, running_node
from tests.gated import GatedJob
from tests.loops import run_coroutine
from tests.sentinels import PATIENCE_S, Sentinels
from tests.services import REPOSITORY


@pytest.fixture(params=["debian", "bundled"])
def sentinels(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[Sentinels]:
    binary = None if request.param == "bundled" else request.getfixturevalue("redis_server")
    with Sentinels(short_dir, binary) as running:
        yield running


@pytest.fixture
def disco(sentinels: Sentinels, short_dir: Path) -> Iterator[Disco]:
    """A client of a cluster: a master, and two nodes of one worker each."""
    url = sentinels.url()
    with (
        program("master", redis=url, http="127.0.0.1:0"),
        running_node(url, "n1", short_dir / "n1"),
        running_node(url, "n2", short_dir / "n2"),
        Disco(url) as client,
    ):
        yield client


def for_ever(line: str, params: str) -> list[tuple[str, int]]:
    Path(params).write_text(str(os.getpid()))
    time.sleep(300)
    return []


def commands_are_heard(sentinels: Sentinels) -> bool:
    """Whether both workers listen to the master for what RQ tells them."""
    with sentinels.client(sentinels.master) as client:
        channels: Any = client.pubsub_channels("rq:pubsub:*")
        return len(channels) == 2


def live_events(url: str, job: str) -> list[str]:
    """A job's history, as the web page's stream reads it."""

    async def read() -> list[str]:
        live = LiveStore(url)
        events = await live.events(job, "0-0", block_ms=1)
        await live.close()
        return [event.message for event in events]

    return run_coroutine(read())


def assert_kill_ends_what_runs(disco: Disco, directory: Path) -> None:
    noted = directory / "pid"
    job = disco.new_job("for_ever", ["raw://x"], map=for_ever, params=str(noted))
    pid = int(wait_until(lambda: noted.exists() and noted.read_text(), PATIENCE_S))
    job.kill()
    assert disco.results(job.name)[0] == "dead"
    wait_until(lambda: not psutil.pid_exists(pid), PATIENCE_S)


@pytest.mark.long
@pytest.mark.parametrize("sentinels", ["debian"], indirect=True)
def test_a_job_outlives_the_death_of_the_redis_that_is_the_master(
    sentinels: Sentinels, disco: Disco, tmp_path: Path
) -> None:
    # given a job in its maps, and a client that waits for it
    with ThreadPoolExecutor(1) as pool:
        job = GatedJob(disco, tmp_path / "gates", lines=6)
        wait_until(lambda: len(job.traces("map")) == 2)
        waiting = pool.submit(job.job.wait, timeout=60)

        # when the master is killed and the maps end while there is none
        before = sentinels.master
        before.kill()
        job.open_gate("maps")
        sentinels.wait_for_another(before)

        # then the reduces run with the next one, and so does what was lost with the first
        wait_until(lambda: len({partition for partition, _, _ in job.traces("reduce")}) == 2, PATIENCE_S)
        job.open_gate("reduces")
        job.assert_right()
        assert len(waiting.result(60)) == 2

    # and workers hear from the new master what they are told
    wait_until(lambda: commands_are_heard(sentinels), PATIENCE_S)
    assert_kill_ends_what_runs(disco, tmp_path)


@pytest.mark.parametrize("sentinels", ["bundled"], indirect=True)
def test_a_job_goes_on_while_one_master_is_replaced_after_the_other(
    sentinels: Sentinels, disco: Disco, tmp_path: Path
) -> None:
    # given a job in its maps: when all have followed the new master before they go on, nothing is lost
    job = GatedJob(disco, tmp_path / "gates", lines=6)
    wait_until(lambda: len(job.traces("map")) == 2)
    sentinels.fail_over()
    wait_until(lambda: sentinels.replicas_of(sentinels.master) == 2, PATIENCE_S)
    wait_until(lambda: commands_are_heard(sentinels), PATIENCE_S)
    job.open_gate("maps")
    wait_until(lambda: len({partition for partition, _, _ in job.traces("reduce")}) == 2, PATIENCE_S)
    # On a busy machine a worker may have found the next master later than the lease of its task lasts.
    failed = [told for told in job.history() if " failed " in told and "no sign of life" not in told]
    assert failed == []

    # when they go on at once, what the old one still acknowledges is lost: it is done again
    sentinels.fail_over()
    job.open_gate("reduces")
    job.assert_right(60)
    wait_until(lambda: sentinels.replicas_of(sentinels.master) == 2, PATIENCE_S)
    wait_until(lambda: commands_are_heard(sentinels), PATIENCE_S)
    job.assert_right(60)
    assert live_events(sentinels.url(), job.job.name) == job.history()
    found = examine(sentinels.url(), Settings())
    assert {finding.level for finding in found if finding.what in ("redis", "master", "nodes")} == {"ok"}
    assert_kill_ends_what_runs(disco, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("sentinels", ["debian"], indirect=True)
def test_a_job_that_the_next_master_does_not_know_is_told_as_unknown(
    sentinels: Sentinels, disco: Disco, tmp_path: Path
) -> None:
    # given a job that no replica has heard of when the master dies
    before = sentinels.master
    for server in sentinels.servers:
        if server is not before:
            with sentinels.client(server) as replica:
                replica.replicaof("127.0.0.1", "1")
    job = disco.new_job("lost", ["raw://x"], map=for_ever, params=str(tmp_path / "pid"))
    wait_until(lambda: (tmp_path / "pid").exists(), PATIENCE_S)
    pid = int(wait_until((tmp_path / "pid").read_text, PATIENCE_S))
    before.kill()
    # then nobody waits for it in vain, and nothing of it runs on
    with pytest.raises(UnknownJob, match=job.name):
        job.wait(timeout=60)
    assert disco.results([job.name], timeout=30)[0] == [(job.name, ("unknown job", []))]
    wait_until(lambda: not psutil.pid_exists(pid), PATIENCE_S)


@contextmanager
def plain_worker(url: str, data: Path) -> Iterator[None]:
    """``rq worker`` with our settings module, as node n1."""
    settings = {"REDIS": url, "NODE": "n1", "DATA": str(data)}
    command = ["worker", "--path", str(REPOSITORY / "workers"), "-c", "disco_node"]
    process = subprocess.Popen(
        [sys.executable, "-m", "rq.cli", *command, "-w", "disco_rq.worker.DiscoWorker"],
        env={**os.environ, **{PREFIX + name: value for name, value in settings.items()}},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    connection = Connection(url)
    try:
        wait_until(lambda: live_slots(connection).get("n1", 0) == 1)
        yield
        assert process.poll() is None
    finally:
        connection.close()
        process.terminate()
        process.wait(timeout=20)


def words(line: str, params: Any) -> list[tuple[str, int]]:
    msg("a message")
    return [(word, 1) for word in line.split()]


@pytest.mark.long
@pytest.mark.parametrize("sentinels", ["debian"], indirect=True)
def test_a_plain_rq_worker_that_waits_for_work_follows_the_master(
    sentinels: Sentinels, short_dir: Path, tmp_path: Path
) -> None:
    url = sentinels.url()
    with (
        program("master", redis=url, http="127.0.0.1:0"),
        plain_worker(url, short_dir / "n1"),
        Disco(url) as disco,
    ):
        job = disco.new_job("before", ["raw://a b"], map=words)
        assert sorted(result_iterator(job.wait(timeout=60))) == [("a", 1), ("b", 1)]
        before = sentinels.master
        before.kill()
        sentinels.wait_for_another(before)
        job = disco.new_job("after", ["raw://a b"], map=words)
        assert sorted(result_iterator(job.wait(timeout=60))) == [("a", 1), ("b", 1)]
        assert_kill_ends_what_runs(disco, tmp_path)


def test_it_works_over_tls_with_plain_rq_workers_and_our_own(
    short_dir: Path, redis_server: Path, tmp_path: Path
) -> None:
    with ExitStack() as running:
        ours = authority(short_dir, "ours")
        sentinels = running.enter_context(Sentinels(short_dir, redis_server, authority=ours))
        url = sentinels.url()
        running.enter_context(program("master", redis=url, http="127.0.0.1:0"))
        running.enter_context(plain_worker(url, short_dir / "n1"))
        running.enter_context(running_node(url, "n2", short_dir / "n2"))
        disco = running.enter_context(Disco(url))

        # a job goes on when the master dies in its maps
        job = GatedJob(disco, tmp_path / "gates", lines=6)
        wait_until(lambda: len(job.traces("map")) == 2)
        before = sentinels.master
        before.kill()
        sentinels.wait_for_another(before)
        wait_until(lambda: commands_are_heard(sentinels), PATIENCE_S)
        job.open_gate("maps")
        wait_until(lambda: len({partition for partition, _, _ in job.traces("reduce")}) == 2, PATIENCE_S)
        job.open_gate("reduces")
        job.assert_right(60)

        # and all that listens to Redis does so again
        assert live_events(url, job.job.name) == job.history()
        found = examine(url, Settings())
        assert {finding.level for finding in found if finding.what in ("redis", "master")} == {"ok"}
        # once a replica follows: before, a second failover (of a busy machine) may lose a job
        sentinels.wait(lambda: sentinels.replicas_of(sentinels.master) == 1)
        assert_kill_ends_what_runs(disco, tmp_path)


@pytest.mark.long
def test_the_users_and_the_sentinels_of_ops_bear_a_failover(short_dir: Path, redis_server: Path) -> None:
    users = ("client", "master", "worker", "viewer", "admin", "replica", "sentinel", "sentinels")
    passwords = {user: f"{user}-pa55" for user in users}
    with (
        Sentinels(short_dir, redis_server, passwords=passwords) as sentinels,
        program("master", redis=sentinels.url("master"), http="127.0.0.1:0"),
        running_node(sentinels.url("worker"), "n1", short_dir / "n1"),
        Disco(sentinels.url("client")) as disco,
    ):
        for name in ("before", "after"):
            job = disco.new_job(name, ["raw://a b"], map=words)
            assert sorted(result_iterator(job.wait(timeout=60))) == [("a", 1), ("b", 1)]
            if name == "before":
                before = sentinels.master
                before.kill()
                sentinels.wait_for_another(before)
        for server in sentinels.servers:
            if server is not before:
                with sentinels.client(server) as admin:
                    refused: Any = admin.execute_command("ACL LOG")
                    assert refused == []
