"""ops/users.conf on real servers: each program can do its work as its own user, and nothing beyond it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis
from redis.exceptions import AuthenticationError, NoPermissionError

from disco_rq import Disco, JobError, result_iterator
from disco_rq.func import total_order
from disco_rq.runtime import counter, data_err, get, msg, put, this_master, this_partition
from disco_rq.settings import PREFIX
from disco_rq.store.connection import Connection
from disco_rq.store.givenkeys import GivenKey, GivenKeys
from disco_rq.store.keys import LEADER
from disco_rq.store.nodes import NodeStore, live_slots, master_address
from tests.cluster.programs import program, running_node
from tests.redis.story import submit, wait_until
from tests.services import REPOSITORY, TcpServer, without_placeholders

PASSWORDS = {user: f"{user}-secret" for user in ("client", "master", "worker", "viewer", "admin")}
SECRET = "a shared secret"


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"seen-{this_partition()}", this_master())
    msg("a message")
    counter("lines")
    for word in line.split():
        yield word, 1


def reduce_words(pairs: Iterator[tuple[str, int]], out: Any, params: Any) -> None:
    get("seen-0")
    for word, number in pairs:
        out.add(word, number)


def look_back(line: str, params: str) -> list[tuple[str, str]]:
    return [("seen", get("seen-0", params))]


def always_bad(line: str, params: Any) -> list[tuple[str, int]]:
    return data_err("bad")


def always_good(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def dies(line: str, params: Any) -> list[tuple[str, int]]:
    os.kill(os.getpid(), 9)
    return []


def for_ever(line: str, params: Any) -> list[tuple[str, int]]:
    msg("began")
    time.sleep(300)
    return []


@pytest.fixture(params=["bundled", "debian"])
def server(request: pytest.FixtureRequest, short_dir: Path) -> Iterator[TcpServer]:
    users = short_dir / "users.conf"
    users.write_text(without_placeholders("users.conf", PASSWORDS))
    binary = None if request.param == "bundled" else request.getfixturevalue("redis_server")
    options = ("--include", str(users), "--appendonly", "yes")
    with TcpServer(short_dir, *options, binary=binary) as server:
        yield server


def login(server: TcpServer, user: str) -> str:
    return server.url(f"{user}:{PASSWORDS[user]}@")


def refusals(server: TcpServer) -> list[str]:
    """What the server refused so far: user, what, and the client that asked."""
    with redis.Redis.from_url(login(server, "admin"), decode_responses=True) as admin:
        log: Any = admin.acl_log()
    return [
        " ".join(str(entry[told]) for told in ("username", "reason", "object", "client-info"))
        for entry in log
    ]


@contextmanager
def plain_worker(server: TcpServer, node: str, data: Path) -> Iterator[None]:
    """``rq worker`` with our settings module, one slot of a node."""
    settings = {"REDIS": login(server, "worker"), "NODE": node, "DATA": str(data), "SECRET": SECRET}
    command = ["worker", "--path", str(REPOSITORY / "workers"), "-c", "disco_node"]
    process = subprocess.Popen(
        [sys.executable, "-m", "rq.cli", *command, "-w", "disco_rq.worker.DiscoWorker"],
        env={**os.environ, **{PREFIX + name: value for name, value in settings.items()}},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        connection = Connection(login(server, "viewer"))
        wait_until(lambda: live_slots(connection).get(node, 0) == 1, 15)
        connection.close()
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def rq_info(url: str) -> str:
    command = [sys.executable, "-m", "rq.cli", "info", "-u", url]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def read_the_web_page(master: str, job: str) -> None:
    """All that the API tells of the cluster and of a job, and the metrics."""
    with urllib.request.urlopen(f"http://{master}/api/v1/openapi.json") as answer:
        paths = [path for path, told in json.load(answer)["paths"].items() if "get" in told]
    asked = [path.replace("{job}", quote(job)) for path in paths if "stream" not in path]
    for path in [*(path for path in asked if "{" not in path), "/metrics", "/healthz"]:
        with urllib.request.urlopen(f"http://{master}{path}") as answer:
            assert answer.status == 200


def forget_a_node_that_is_gone(disco: Disco, worker: Connection) -> None:
    """By a client, and by a button of the page, which the master serves."""
    for node in ("n8", "n9"):
        store = NodeStore(worker, node)
        store.register({"host": "h"})
        store.tell_packages({"numpy": "2.0"})
        store.close("disk", "full")
    disco.forget("n8")
    page = f"http://{master_address(worker)}/api/v1/"
    with urllib.request.urlopen(page + "session") as answer:
        token = {"X-CSRF-Token": json.load(answer)["csrf"]}
    asked = urllib.request.Request(page + "nodes/n9/forget", method="POST", headers=token)
    with urllib.request.urlopen(asked) as answer:
        assert answer.status == 200


def run_a_job_that_waits_and_tells_its_end(disco: Disco) -> None:
    """With a pilot, unique while it is active, and with a webhook."""
    told: dict[str, Any] = {"pilot": 1, "unique": True, "on_end": "https://example.org"}
    job = disco.new_job("piloted", ["raw://a", "raw://b"], map=always_good, **told)
    wait_until(lambda: job.jobinfo()["paused"], 15)
    assert disco.new_job("piloted", ["raw://a", "raw://b"], map=always_good, **told).name == job.name
    job.resume()
    job.wait(timeout=30)
    wait_until(lambda: any("on_end: RQ job" in message for _, (_, _, message) in job.events()), 15)


def run_all_kinds_of_jobs(disco: Disco, worker: Connection) -> None:
    """Jobs with every kind of end, and all that a client may ask and tell."""
    words = disco.new_job("words", ["raw://a b", "raw://b"], map=map_words, reduce=reduce_words, nr_reduces=2)
    assert sorted(result_iterator(words.wait(timeout=30))) == [("a", 1), ("b", 1), ("b", 1)]
    assert words.oob_list() == ["seen-0", "seen-1"]
    assert words.oob_get("seen-0")
    assert words.jobinfo()["active"] == "ready"
    assert words.jobspec()
    assert words.story("map:0")
    read_the_web_page(words.oob_get("seen-0"), words.name)
    assert any("a message" in message for _, (_, _, message) in words.events())
    again = disco.new_job("again", ["raw://x"], map=look_back, params=words.name)
    assert dict(result_iterator(again.wait(timeout=30))) == {"seen": words.oob_get("seen-0")}
    in_order: dict[str, Any] = {
        "map": map_words,
        "reduce": reduce_words,
        "partition": total_order,
        "nr_reduces": 2,
    }
    ordered = disco.new_job("ordered", ["raw://b", "raw://a"], **in_order)
    assert list(result_iterator(ordered.wait(timeout=30))) == [("a", 1), ("b", 1)]
    with tempfile.TemporaryDirectory() as saved:
        kept = disco.new_job("kept", ["raw://a"], map=look_back, params=words.name, save=saved)
        assert dict(result_iterator(kept.wait(timeout=30))) == {"seen": words.oob_get("seen-0")}
    for bad in (always_bad, dies):
        dead = disco.new_job("dead", ["raw://x"], map=bad, max_failures=1)
        with pytest.raises(JobError):
            dead.wait(timeout=30)
        dead.clean()
    run_a_job_that_waits_and_tells_its_end(disco)
    stuck = disco.new_job("stuck", ["raw://x"], map=for_ever)
    wait_until(lambda: any("began" in message for _, (_, _, message) in stuck.events()), 15)
    stuck.pause()
    stuck.resume()
    stuck.kill()
    for job in (stuck, again, words):
        job.purge()
    disco.joblist()
    disco.blacklist("n1")
    disco.drain("n2")
    disco.whitelist("n1")
    disco.whitelist("n2")
    forget_a_node_that_is_gone(disco, worker)
    assert {told["node"] for told in disco.nodeinfo()["available"]} == {"n1", "n2", "n3"}


def test_whole_jobs_run_with_each_program_under_its_own_user(
    server: TcpServer, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + "SECRET", SECRET)
    with ExitStack() as programs:
        for _ in range(2):
            programs.enter_context(program("master", redis=login(server, "master"), http="127.0.0.1:0"))
        for node in ("n1", "n2"):
            worker = running_node(login(server, "worker"), node, short_dir / node, secret=SECRET)
            programs.enter_context(worker)
        programs.enter_context(plain_worker(server, "n3", short_dir / "n3"))
        disco = Disco(login(server, "client"))
        programs.callback(disco.close)

        as_worker = Connection(login(server, "worker"))
        programs.callback(as_worker.close)

        run_all_kinds_of_jobs(disco, as_worker)

        assert "idle disco.n" in rq_info(login(server, "viewer"))  # RQ lists queues that were ever used
    assert refusals(server) == []


COMMON = (
    *("FLUSHALL", "FLUSHDB", "CONFIG GET dir", "KEYS *", "SHUTDOWN NOSAVE", "SCRIPT FLUSH", "ACL LIST"),
    *("MONITOR", "CLIENT LIST", "REPLICAOF NO ONE", "SCAN 0", "GET other:app", "SAVE"),
    *("EVAL return 0 1 other:app", "SELECT 1"),
)
REFUSED = {
    "client": (
        "RPUSH rq:queue:disco.n1 x",
        "HSET rq:job:x a b",
        "SET disco:leader me",
        "PUBLISH rq:pubsub:w x",
    ),
    "master": ("SET disco:totals x", "SET rq:worker:w x", "SUBSCRIBE other"),
    "worker": (
        "SET disco:leader me",
        "RPUSH rq:queue:disco.n1 x",
        "SET disco:job:j@20260101-000000-aaaa:pack x",
    ),
    "viewer": ("SET disco:leader me", "DEL disco:jobs", "HSET rq:job:x a b", "EVAL return 0 1 disco:jobs"),
}


def test_a_user_is_refused_what_it_must_not_do(server: TcpServer) -> None:
    let_through = []
    for user, more in REFUSED.items():
        with redis.Redis.from_url(login(server, user), protocol=2) as client:
            for command in (*COMMON, *more):
                try:
                    client.execute_command(*command.replace("return 0", "return_0").split())
                except NoPermissionError:
                    continue
                let_through.append(f"{user}: {command}")
    assert let_through == []


def contents(server: TcpServer) -> dict[bytes, bytes]:
    """Every key, and what it holds."""
    with redis.Redis.from_url(login(server, "admin")) as admin:
        wait_until(lambda: not admin.info("persistence")["loading"], 10)
        names: Any = admin.keys()
        return {name: admin.dump(name) for name in names if name != LEADER.encode()}  # a lease


@pytest.mark.parametrize("server", ["bundled", "debian"], indirect=True)
def test_a_restart_keeps_what_scripts_and_transactions_wrote(server: TcpServer) -> None:
    with redis.Redis.from_url(login(server, "admin")) as admin:
        admin.set(LEADER, "a master")
    with closing(Connection(login(server, "client"))) as client:
        submit(client)
    before = contents(server)

    server.kill()
    server.start()

    assert len(before) > 3
    assert contents(server) == before


def test_client_and_worker_read_the_lists_and_streams_that_they_are_let(server: TcpServer) -> None:
    given = [GivenKey(None, "list", b"orders:list"), GivenKey(None, "stream", b"orders:stream")]
    with ExitStack() as opened, redis.Redis.from_url(login(server, "admin")) as admin:
        admin.rpush("orders:list", 1, 2)
        admin.xadd("orders:stream", {"a": 1})
        as_client, as_worker = (
            GivenKeys(opened.enter_context(closing(Connection(login(server, user)))))
            for user in ("client", "worker")
        )
        for key in given:
            with pytest.raises(ValueError, match="Redis refuses it"):
                as_client.ranges(key, lambda *_: [0])
        for user in ("client", "worker"):
            admin.execute_command("ACL", "SETUSER", user, "%R~orders:*")
        for key in given:
            [one] = as_client.ranges(key, lambda *_: [0])
            assert as_worker.read(key, one, one.number)


def test_what_was_refused_is_told_with_who_asked_for_it(server: TcpServer) -> None:
    assert refusals(server) == []
    with redis.Redis.from_url(login(server, "viewer"), client_name="curious") as viewer:
        with pytest.raises(NoPermissionError):
            viewer.flushdb()
        with pytest.raises(NoPermissionError):
            viewer.get("other:app")

    [last, first] = refusals(server)

    assert first.startswith("viewer command flushdb ")
    assert last.startswith("viewer key other:app ")
    assert "curious" in first


def test_a_script_of_a_client_can_do_no_more_than_the_client(server: TcpServer) -> None:
    with redis.Redis.from_url(login(server, "client")) as client:
        with pytest.raises(redis.ResponseError, match=r"access|permission|can.t run"):
            client.eval("return redis.call('SET', KEYS[1], 'me')", 1, "disco:leader")
        with pytest.raises(redis.ResponseError, match=r"access|permission|can.t run"):
            client.eval("return redis.call('FLUSHALL')", 0)


def test_nobody_is_let_in_without_a_name(server: TcpServer) -> None:
    with redis.Redis.from_url(server.url()) as nobody, pytest.raises(AuthenticationError):
        nobody.get("disco:master")
