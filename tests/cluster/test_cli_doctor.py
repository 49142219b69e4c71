"""``disco-rq doctor`` on real clusters: what is well, what is not, and the exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from disco_rq.outputs.wire import seal
from disco_rq.store.nodes import node_about
from tests.cluster.conftest import wait_until
from tests.cluster.user import User
from tests.nodes import NodeCluster
from tests.services import TcpServer, without_placeholders


def report_of(nodes: NodeCluster, name: str) -> None:
    """Wait until the node has told its load for the first time."""
    wait_until(lambda: nodes.connection.redis.hexists(f"disco:node:{name}", "clock_ms"))


@pytest.fixture
def doctored(nodes: NodeCluster) -> NodeCluster:
    """A cluster of one master and one node, with a secret."""
    nodes.environment["DISCO_RQ_SECRET"] = "the same"
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    wait_until(lambda: nodes.connection.redis.exists("disco:master"))  # it leads, and has a page
    report_of(nodes, "n1")
    return nodes


def doctor(user: User, *words: str, status: int = 0) -> dict[str, list[str]]:
    """what -> the levels of its findings."""
    told = user.types("doctor", "--json", *words, status=status).json
    assert told["ok"] is (status == 0)
    found: dict[str, list[str]] = {}
    for finding in told["findings"]:
        found.setdefault(finding["what"], []).append(finding["level"])
    return found


def test_a_healthy_cluster_has_no_fail(doctored: NodeCluster, tmp_path: Path) -> None:
    user = User(tmp_path, doctored.url)
    user.env["DISCO_RQ_SECRET"] = "the same"

    found = doctor(user)
    lines = user.types("doctor").lines

    assert all(line.startswith(("ok ", "warn ", "      →")) for line in lines)
    for what in ("redis", "persistence", "eviction", "clock here", "master", "web page", "nodes", "tasks"):
        assert found[what] == ["ok"]
    for what in ("clocks", "files", "python", "disco-rq", "packages", "secret"):
        assert found[what] == ["ok"]


def test_ends_of_jobs_that_nobody_tells_are_told(doctored: NodeCluster, tmp_path: Path) -> None:
    user = User(tmp_path, doctored.url)
    user.env["DISCO_RQ_SECRET"] = "the same"
    doctored.connection.redis.rpush("rq:queue:disco-webhooks", "an_end")

    assert doctor(user)["on_end"] == ["warn"]


def test_another_secret_here_fails_and_says_what_to_do(doctored: NodeCluster, tmp_path: Path) -> None:
    user = User(tmp_path, doctored.url)
    user.env["DISCO_RQ_SECRET"] = "another"

    assert doctor(user, status=1)["secret"] == ["fail"]
    lines = user.types("doctor", status=1).lines
    at = lines.index(
        "fail  secret: of n1 does not fit the one here: it has another, and refuses jobs from here"
    )
    assert "DISCO_RQ_SECRET" in lines[at + 1]
    [[name, state, *_]] = user.types("nodes").rows
    assert (name, state) == ("n1", "alive, other secret")
    user.env["DISCO_RQ_SECRET"] = "the same"
    assert user.types("nodes").rows[0][1] == "alive"


def test_a_data_server_that_is_not_reached_fails(doctored: NodeCluster, tmp_path: Path) -> None:
    user = User(tmp_path, doctored.url)
    user.env["DISCO_RQ_SECRET"] = "the same"
    # given that the node's files cannot be read directly, but over HTTP
    doctored.connection.redis.hset("disco:node:n1", "word", "that of another machine")
    assert doctor(user)["files"] == ["ok"]

    # when nothing listens there any more
    dead = "http://127.0.0.1:1"
    doctored.connection.redis.hset("disco:node:n1", "url", dead)
    life = node_about(doctored.connection, "n1")["life"]
    doctored.connection.redis.hset("disco:node:n1", "url_seal", seal(b"the same", "n1", life, dead))

    assert doctor(user, status=1)["files"] == ["fail"]

    # or when somebody else says where it is
    doctored.connection.redis.hset("disco:node:n1", "url_seal", seal(b"another", "n1", life, dead))

    assert "is not signed with the DISCO_RQ_SECRET here" in user.types("doctor", status=1).out


def test_a_cluster_without_anybody_fails(nodes: NodeCluster, tmp_path: Path) -> None:
    found = doctor(User(tmp_path, nodes.url), status=1)

    assert found["master"] == ["fail"]
    assert found["nodes"] == ["fail"]


def test_a_script_can_wait_for_a_cluster_that_starts(nodes: NodeCluster, tmp_path: Path) -> None:
    user = User(tmp_path, nodes.url)

    with user.starts("doctor", "--wait", "60s", "--json") as going:
        assert going.stderr is not None
        assert going.stderr.readline() == "disco-rq: waiting: master: none leads: jobs wait\n"
        nodes.master()
        nodes.node("n1")
        out, _ = going.communicate(timeout=60)

    assert going.returncode == 0
    assert json.loads(out)["ok"] is True


def test_one_that_waits_in_vain_tells_what_fails(tmp_path: Path) -> None:
    seen = User(tmp_path, "redis://127.0.0.1:1").types("doctor", "--wait", "1s", status=1)

    assert seen.lines[0].startswith("fail  redis: ")
    assert seen.err.startswith("disco-rq: waiting: redis: Redis at redis://127.0.0.1:1 cannot be reached")


def test_a_server_that_may_forget_is_told(doctored: NodeCluster, tmp_path: Path) -> None:
    doctored.connection.redis.config_set("appendonly", "no")
    doctored.connection.redis.config_set("maxmemory", 1 << 30)
    doctored.connection.redis.config_set("maxmemory-policy", "allkeys-lru")
    user = User(tmp_path, doctored.url)
    user.env["DISCO_RQ_SECRET"] = "the same"

    found = doctor(user, status=1)

    assert (found["persistence"], found["eviction"]) == (["warn"], ["fail"])


@pytest.mark.parametrize("login", ["client", "viewer"])
def test_users_of_redis_with_few_rights_may_ask(login: str, short_dir: Path, tmp_path: Path) -> None:
    users = short_dir / "users.conf"
    users.write_text(without_placeholders("users.conf", {login: "password"}))
    with TcpServer(short_dir, "--include", str(users)) as server:
        found = doctor(User(tmp_path, server.url(f"{login}:password@")), status=1)

    assert found["redis"] == ["ok"]
    assert found["master"] == ["fail"]
    assert found["nodes"] == ["fail"]


def test_without_redis_it_is_the_only_finding(tmp_path: Path) -> None:
    seen = User(tmp_path, "redis://127.0.0.1:1").types("doctor", status=1)

    assert seen.lines[0].startswith("fail  redis: Redis at redis://127.0.0.1:1 cannot be reached")
    assert len(seen.lines) == 2
    assert seen.err == ""
