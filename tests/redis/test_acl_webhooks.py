"""The ends of jobs with the users of ops/users.conf: one posts them, and others are told when nobody does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis
from redis.exceptions import NoPermissionError
from rq import Queue

from disco_rq.doctor.examination import examine
from disco_rq.settings import Settings
from disco_rq.store.ends import WEBHOOK, WEBHOOK_QUEUE
from disco_rq.store.queues import Call, put_call
from tests.services import TcpServer, without_placeholders

USERS = ("client", "master", "worker", "webhooks", "viewer", "admin")
ENDING = {"job": "j@20260101-000000-aaaa", "status": "ready", "cause": None}


@pytest.fixture
def server(short_dir: Path, redis_server: Path) -> Iterator[TcpServer]:
    users = short_dir / "users.conf"
    users.write_text(without_placeholders("users.conf", dict.fromkeys(USERS, "secret")))
    with TcpServer(short_dir, "--include", str(users), binary=redis_server) as server:
        yield server


def login(server: TcpServer, user: str) -> str:
    return server.url(f"{user}:secret@")


@pytest.fixture
def admin(server: TcpServer) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(login(server, "admin")) as admin:
        yield admin


@pytest.fixture
def hook() -> Iterator[tuple[str, list[str]]]:
    """An address, and the paths that were posted to; it has only /there."""
    told: list[str] = []

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(self.path)
            self.send_response(200 if self.path == "/there" else 404)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Hook) as listening:
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}", told
        listening.shutdown()


def put(server: TcpServer, url: str, rq_id: str) -> None:
    """As a master does it."""
    with redis.Redis.from_url(login(server, "master")) as master, master.pipeline() as pipe:
        put_call(master, pipe, Call(WEBHOOK, WEBHOOK_QUEUE, (ENDING, url), 900, 3), rq_id)
        pipe.execute()


def test_a_worker_of_rq_posts_them_with_the_user_webhooks(
    server: TcpServer, admin: redis.Redis, hook: tuple[str, list[str]]
) -> None:
    url, told = hook
    put(server, url + "/there", "a_ended")
    put(server, url + "/elsewhere", "b_ended")
    here = {"RQ_REDIS_URL": login(server, "webhooks"), "DISCO_RQ_WEBHOOK_LOCAL": "on"}
    command = [sys.executable, "-m", "rq.cli", "worker", WEBHOOK_QUEUE, "--burst"]

    done = subprocess.run(command, env={**os.environ, **here}, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert told == ["/there", "/elsewhere"]
    queue = Queue(WEBHOOK_QUEUE, connection=admin)
    assert queue.finished_job_registry.get_job_ids() == ["a_ended"]
    assert queue.failed_job_registry.get_job_ids() == ["b_ended"]
    log: Any = admin.acl_log()
    assert log == []


@pytest.mark.parametrize(
    "command", ["GET disco:master", "HSET rq:job:x a b", "RPUSH rq:queue:disco.n1 x", "PUBLISH rq:pubsub:w x"]
)
def test_it_can_do_nothing_else(server: TcpServer, command: str) -> None:
    with redis.Redis.from_url(login(server, "webhooks")) as webhooks, pytest.raises(NoPermissionError):
        webhooks.execute_command(*command.split())


def found(server: TcpServer, user: str) -> list[str]:
    """What ``doctor`` says of ends."""
    settings = Settings.from_env({})
    return [one.text for one in examine(login(server, user), settings) if one.what == "on_end"]


def test_doctor_tells_whoever_may_run_it_of_ends_that_nobody_posts(
    server: TcpServer, admin: redis.Redis
) -> None:
    assert found(server, "client") == found(server, "viewer") == []
    put(server, "https://example.org", "a_ended")
    nobody = ["1 ends of jobs wait in the queue disco-webhooks, and no worker listens to it"]
    assert found(server, "client") == found(server, "viewer") == nobody
    # when there is a worker, then there is nothing to tell
    admin.sadd("rq:workers:disco-webhooks", "rq:worker:w")
    admin.hset("rq:worker:w", "birth", "now")
    assert found(server, "client") == found(server, "viewer") == []
    # and one that was killed is none, once RQ's record of it has run out
    admin.delete("rq:worker:w")
    assert found(server, "client") == found(server, "viewer") == nobody


def test_doctor_says_when_it_may_not_look(server: TcpServer, admin: Any) -> None:
    admin.execute_command("ACL", "SETUSER", "client", "resetkeys", "%R~disco:*", "%R~rq:suspended")

    assert found(server, "client") == ["this user of Redis may not look at the queue disco-webhooks"]
