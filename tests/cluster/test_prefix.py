"""Several clusters and other programs of RQ in one Redis: none sees or touches what is another's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis
from rq import Queue

from disco_rq import result_iterator
from disco_rq.machine.redisserver import PrivateServer
from tests.cluster.conftest import wait_until
from tests.cluster.user import User
from tests.nodes import NodeCluster
from tests.services import OPS, REPOSITORY, TcpServer, without_placeholders

PASSWORDS = {user: f"{user}-secret" for user in ("client", "master", "worker", "viewer", "admin")}
PREFIXES = ("team1", "prod:{disco}", "")


def environment(url: str, prefix: str, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DISCO_RQ_", "RQ_"))}
    told = {"DISCO_RQ_REDIS": url, "DISCO_RQ_HTTP": "127.0.0.1:0", **more}
    return {**kept, **told, **({"DISCO_RQ_PREFIX": prefix} if prefix else {})}


@contextmanager
def running(arguments: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", *arguments], env=env, cwd=REPOSITORY)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def ask(env: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "disco_rq.cli", *arguments]
    done = subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def cluster(stack: ExitStack, env: dict[str, str], data: Path) -> None:
    """A master and a node of the same name as that of every other cluster here."""
    stack.enter_context(running(["disco_rq.cli", "master"], env))
    options = ["--node", "n1", "--slots", "1", "--data", str(data)]
    stack.enter_context(running(["disco_rq.cli", "node", *options], env))


def has_node(env: dict[str, str]) -> bool:
    known = json.loads(ask(env, "nodes", "--json"))["available"]
    return [one["node"] for one in known if one["state"] == "alive"] == ["n1"]


@pytest.fixture
def server(short_dir: Path) -> Iterator[PrivateServer]:
    with PrivateServer(short_dir) as server:
        yield server


@pytest.mark.long
def test_clusters_of_one_redis_do_not_see_each_other(server: PrivateServer, tmp_path: Path) -> None:
    # given three clusters, whose nodes have one name, and a queue of somebody else's
    foreign = redis.Redis.from_url(server.url)
    Queue("theirs", connection=foreign).enqueue("os.getpid")
    theirs = {key: foreign.dump(key) for key in foreign.scan_iter("rq:*")}
    envs = {prefix: environment(server.url, prefix) for prefix in PREFIXES}
    with ExitStack() as stack:
        for number, env in enumerate(envs.values()):
            cluster(stack, env, tmp_path / str(number))
        for env in envs.values():
            wait_until(lambda env=env: has_node(env))  # type: ignore[misc]
        # when each runs a job
        for env in envs.values():
            counted = ask(env, "run", "disco_rq.examples.wordcount", "LICENSE", "--name", "same")
            assert re.search(r"(?m)^the\t\d+$", counted)
        # then it is in that cluster only, under its prefix
        for prefix, env in envs.items():
            [job] = json.loads(ask(env, "jobs", "--json"))
            begun = prefix or "disco"
            assert foreign.exists(f"{begun}:job:{job['job']}")
        keys = [key.decode() for key in foreign.scan_iter()]
        assert {key.split(":job")[0] for key in keys if ":job:" in key and ":rq:" not in key} >= {
            "team1",
            "disco",
        }
        assert all(key.startswith(("team1:", "prod:{disco}:", "disco:", "rq:")) for key in keys)
        assert not [key for key in keys if key.startswith("rq:") and "team1" in key]
        assert {key: foreign.dump(key) for key in theirs if b"queues" not in key} == {
            key: dumped for key, dumped in theirs.items() if b"queues" not in key
        }
    foreign.close()


def test_users_can_be_kept_to_a_prefix_as_the_file_says(short_dir: Path, tmp_path: Path) -> None:
    # given the users of one prefix, made by the command that stands in the file
    users = short_dir / "users.conf"
    users.write_text(without_placeholders("users.conf", PASSWORDS))
    everybodys = short_dir / "everybodys.conf"
    everybodys.write_text(users.read_text())
    [command] = re.findall(r"^#     (sed .*) users\.conf$", (OPS / "users.conf").read_text(), re.MULTILINE)
    made = subprocess.run(["sh", "-c", f"{command} {users}"], capture_output=True, text=True, check=True)
    users.write_text(made.stdout)
    assert "disco" not in re.sub(r"(?m)^#.*$", "", made.stdout).replace("disco-webhooks", "")
    # on one server with those of a cluster without a prefix
    includes = ("--include", str(everybodys), "--include", str(users))
    with TcpServer(short_dir, *includes) as server, ExitStack() as stack:
        env = {
            user: environment(server.url(f"team1-{user}:{PASSWORDS[user]}@"), "team1")
            for user in ("client", "master", "worker", "viewer")
        }
        stack.enter_context(running(["disco_rq.cli", "master"], env["master"]))
        options = ["--node", "n1", "--slots", "1", "--data", str(tmp_path / "n1")]
        stack.enter_context(running(["disco_rq.cli", "node", *options], env["worker"]))
        wait_until(lambda: has_node(env["viewer"]))
        # then a job runs under them, and nothing of it was refused
        assert "the\t" in ask(env["client"], "run", "disco_rq.examples.wordcount", "LICENSE")
        with redis.Redis.from_url(server.url(f"admin:{PASSWORDS['admin']}@")) as admin:
            assert [entry for entry in admin.acl_log() if entry[b"username"] != b"default"] == []
            # and a client of another prefix gets nowhere
            with redis.Redis.from_url(env["client"]["DISCO_RQ_REDIS"]) as client:
                for key in ("disco:jobs", "team2:jobs"):
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        client.zadd(key, {"x": 1})


def test_an_rq_worker_that_has_another_prefix_says_which_to_set(
    server: PrivateServer, tmp_path: Path
) -> None:
    env = environment(server.url, "team1", DISCO_RQ_NODE="n1", DISCO_RQ_DATA=str(tmp_path))
    command = [
        "rq.cli",
        "worker",
        "--path",
        "workers",
        "-c",
        "disco_node",
        "-w",
        "disco_rq.worker.DiscoWorker",
    ]
    done = subprocess.run(
        [sys.executable, "-m", *command], env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert "set RQ_KEY_PREFIX=team1:rq beside DISCO_RQ_PREFIX=team1" in done.stderr
    with ExitStack() as stack:
        stack.enter_context(running(command, {**env, "RQ_KEY_PREFIX": "team1:rq"}))
        stack.enter_context(running(["disco_rq.cli", "master"], env))
        wait_until(lambda: has_node(env))
        assert "the\t" in ask(env, "run", "disco_rq.examples.wordcount", "LICENSE")


@pytest.mark.long
def test_a_node_whose_keys_of_rq_are_others_gets_no_tasks_and_is_told(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    nodes.master()
    nodes.environment["RQ_KEY_PREFIX"] = "foo"
    nodes.node("apart")
    wait_until(lambda: nodes.slots("apart"))
    job = nodes.disco.new_job("waits", ["raw://a"], map=alone)
    why = "its keys of RQ begin with foo, the master's with rq (RQ_KEY_PREFIX)"
    told = f"No node takes tasks (apart: {why}): the job waits for one"
    wait_until(lambda: told in [text for _, (_, _, text) in job.events()])
    user = User(tmp_path, nodes.url)
    lines = user.types("doctor").lines
    assert f"warn  jobs: {job.name}: {told}" in lines
    assert "warn  rq keys: begin with foo on apart, with rq here" in lines
    # when one comes that has those of the master
    del nodes.environment["RQ_KEY_PREFIX"]
    right = nodes.node("right")
    assert list(result_iterator(job.wait(timeout=30))) == [("a", 1)]
    assert "keys of RQ begin with rq here, and with foo on node apart" in right.said


def alone(line: str, params: Any) -> Iterator[tuple[str, int]]:
    yield line, 1


@pytest.mark.parametrize("prefix", ["a b", "rq", "rq:x", ":x", "x:", "..", "a*", "ü", "x" * 65])
def test_what_cannot_be_a_prefix_is_told_by_name(prefix: str) -> None:
    command = [sys.executable, "-m", "disco_rq.cli", "jobs"]
    env = environment("redis://127.0.0.1:1/0", prefix)
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 or done.returncode == 1
    assert f"DISCO_RQ_PREFIX={prefix!r}: it takes" in done.stderr
    assert "Traceback" not in done.stderr
