"""The secret and Redis' password: rotated, and seen nowhere."""

from __future__ import annotations

import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import DataError, Disco, JobError, result_iterator
from disco_rq.outputs.wire import data_keys, keys_of_job, passes
from disco_rq.runtime import msg
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import node_about
from disco_rq.web.access import token
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster, marked
from tests.redis.story import everything

SECRET = "marked-secret-4711"
PASSWORD = "marked-password-0815"
OF_A_JOB = (
    "/events",
    "/failures",
    "/tasks",
    "/tasks/map:0",
    "/tasks/map:0/log",
    "/inputs",
    "/results",
    "/spec",
)


def pairs(line: str, params: Any) -> Iterator[tuple[str, int]]:
    msg("a message")
    print("a line")
    yield line, 1


def fails(line: str, params: Any) -> Iterator[tuple[str, int]]:
    raise ValueError(f"this went wrong with {line}")


@pytest.fixture
def guarded(nodes: NodeCluster, monkeypatch: pytest.MonkeyPatch) -> NodeCluster:
    """A cluster with a secret and a password, both marked."""
    monkeypatch.setenv("DISCO_RQ_SECRET", SECRET)
    nodes.environment["DISCO_RQ_SECRET"] = SECRET
    nodes.connection.redis.config_set("requirepass", PASSWORD)
    nodes.url = nodes.url.replace("unix://", f"unix://:{PASSWORD}@")
    nodes.environment["DISCO_RQ_REDIS"] = nodes.url
    nodes.disco.close()
    nodes.connection.close()
    nodes.disco, nodes.connection = Disco(nodes.url), Connection(nodes.url)
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    return nodes


def test_no_secret_is_seen_anywhere(guarded: NodeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    # given a cluster that has had all kinds of jobs, and losses
    disco = guarded.disco
    assert list(result_iterator(disco.new_job("good", ["raw://a"], map=pairs).wait(timeout=30))) == [("a", 1)]
    told = []
    with pytest.raises(JobError) as error:
        disco.new_job("bad", ["raw://b"], map=fails).wait(timeout=30)
    told.append(f"{error.value!r} {error.value}")
    monkeypatch.setenv("DISCO_RQ_SECRET", "another-one")
    stranger = Disco(guarded.url)
    with pytest.raises(JobError, match="BadSignature") as error:
        stranger.new_job("forged", ["raw://c"], map=pairs).wait(timeout=30)
    told.append(f"{error.value!r} {error.value} {stranger!r} {disco!r}")
    stranger.close()
    # the one horse went with the failed attempt
    wait_until(lambda: guarded.nodes["n1"].workers())[0].kill()
    wait_until(lambda: "ended with" in guarded.nodes["n1"].said)
    # and programs that complain: of a Redis that is not there, of a wrong password
    for url in (f"redis://:{PASSWORD}@127.0.0.1:1/0", guarded.url.replace(PASSWORD, f"not-{PASSWORD}")):
        command = [sys.executable, "-m", "disco_rq.cli", "nodes"]
        environment = {**guarded.environment, "DISCO_RQ_REDIS": url}
        ended = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert ended.returncode == 1
        assert ended.stderr
        told.append(ended.stdout + ended.stderr)
    # when one looks at all that can be seen: what was logged and kept on disk,
    for path in guarded.directory.rglob("*"):
        if path.is_file() and not path.is_relative_to(guarded.directory / "appendonlydir"):
            told.append(f"{path}: {path.read_bytes()!r}")
    # what ps shows,
    for process in marked(guarded.mark):
        told.append(Path(f"/proc/{process.pid}/cmdline").read_text())
    # what is in Redis, events included, and what the web page and the API answer
    told.append(repr(everything(guarded.connection)))
    told += answers(disco)
    # then neither the secret nor the password is there, nor a token
    hidden = [
        SECRET,
        PASSWORD,
        "another-one",
        token(SECRET.encode(), "admin"),
    ]
    keys = data_keys(SECRET.encode())
    hidden += [key.hex() for key in keys]
    about = node_about(guarded.connection, "n1")
    for name in [name for _, _, name in disco.joblist()]:
        for opened_by in passes(keys_of_job(keys, name), "n1", about["life"], about["url"]):
            hidden += opened_by
    for text in told:
        assert [word for word in hidden if word in text] == []
    assert len(told) > 20


def test_the_passwords_of_inputs_are_shown_nowhere(guarded: NodeCluster) -> None:
    # given a job that could not read an address with a password and a key
    password, key = "marked-pass-0816", "marked-key-4712"
    address = f"http://bob:{password}@127.0.0.1:1/x?token={key}"
    disco = guarded.disco
    job = disco.new_job("unread", [address], map=pairs, max_failures=0)
    with pytest.raises(JobError, match="http://bob:") as error:
        job.wait(timeout=30)
    # when one looks at it in any way
    told = [str(error.value), repr(job.jobinfo()), repr(job.jobspec()), repr(job.events())]
    told += [repr(job.story("map:0")), job.log("map:0"), guarded.nodes["n1"].said, *answers(disco)]
    # then they are not there
    assert [text for text in told if password in text or key in text] == []
    assert any("bob:***@127.0.0.1:1/x?token=***" in text for text in told)


def test_a_token_goes_only_where_the_node_itself_says(guarded: NodeCluster) -> None:
    # given a node whose files are read over HTTP
    job = guarded.disco.new_job("kept", ["raw://a"], map=pairs)
    job.wait(timeout=30)
    guarded.connection.redis.hset("disco:node:n1", "word", "that of another machine")
    with Disco(guarded.url) as remote:
        assert list(result_iterator(remote.wait(job.name))) == [("a", 1)]
    # and a listener that somebody has told Redis to be the node
    with socket.create_server(("127.0.0.1", 0)) as thief, Disco(guarded.url) as remote:
        told = f"http://127.0.0.1:{thief.getsockname()[1]}"
        guarded.connection.redis.hset("disco:node:n1", "url", told)
        # when a file of it is read
        with pytest.raises(DataError, match=f"{told}, is not signed with the DISCO_RQ_SECRET"):
            list(result_iterator(remote.wait(job.name)))
        # then nobody has come there
        thief.setblocking(False)
        with pytest.raises(BlockingIOError):
            thief.accept()


def test_files_of_jobs_are_open_to_their_own_user_only(nodes: NodeCluster) -> None:
    # given a data directory that was there before, and that others may look into
    data = nodes.data("n1")
    data.mkdir(mode=0o755)
    nodes.master()
    nodes.node("n1")
    nodes.wait_ready()
    # when a job leaves files of every kind
    job = nodes.disco.new_job(
        "kinds", ["raw://a"], map=pairs, profile=True, required_files={"some.txt": b"required"}
    )
    job.wait(timeout=30)
    # then no directory of theirs lets others in
    inside = [path for path in data.iterdir() if path.is_dir()]
    assert {path.name for path in inside} == {job.name, "tmp"}
    assert {path.name for path in (data / job.name).iterdir()} == {
        *("map-0.1", "map-0.1.log", "map-0.1.prof", "required"),
    }
    assert [path.stat().st_mode & 0o077 for path in inside] == [0, 0]


def answers(disco: Disco) -> Iterator[str]:
    """What the master's HTTP server answers to who may look."""
    jobs = [name for _, _, name in disco.joblist()]
    paths = ["/", "/metrics", "/healthz", "/api/v1/overview", "/api/v1/nodes", "/api/v1/jobs"]
    paths += [f"/api/v1/jobs/{job}{what}" for job in jobs for what in ("", *OF_A_JOB)]
    paths += [f"/jobs/{job}" for job in jobs] + [f"/jobs/{job}/tasks/map:0" for job in jobs]
    for path in paths:
        request = urllib.request.Request(disco.http_url + path)
        request.add_header("Authorization", f"Bearer {token(SECRET.encode(), 'viewer')}")
        with urllib.request.urlopen(request, timeout=10) as answer:
            yield answer.read().decode()


def test_a_secret_is_changed_while_the_cluster_runs(
    nodes: NodeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(secret: str) -> list[tuple[str, int]]:
        monkeypatch.setenv("DISCO_RQ_SECRET", secret)
        with Disco(nodes.url) as disco:
            return list(result_iterator(disco.new_job("signed", ["raw://a"], map=pairs).wait(timeout=30)))

    # given a node with a secret in a file
    file = tmp_path / "secret"
    file.write_text("old")
    nodes.environment["DISCO_RQ_SECRET_FILE"] = str(file)
    nodes.master()
    node = nodes.node("n1")
    nodes.wait_ready()
    assert run("old") == [("a", 1)]
    with pytest.raises(JobError, match="BadSignature"):
        run("new")
    # when the nodes get both, then clients of either are served
    for both in ("old,new", "new,old"):
        file.write_text(both)
        node.terminate()
        node.start()
        assert run("old") == run("new") == run(both) == [("a", 1)]
    # and when the old one is gone, only those of the new one
    file.write_text("new")
    node.terminate()
    node.start()
    assert run("new") == [("a", 1)]
    with pytest.raises(JobError, match="BadSignature"):
        run("old")
