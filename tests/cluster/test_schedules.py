"""A job that RQ's own cron submits, and the end of a job in a queue of the user's: real programs of RQ."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from rq import Queue, Worker
from rq.registry import FinishedJobRegistry

from disco_rq import Disco, result_iterator
from disco_rq.store.ends import WEBHOOK_QUEUE
from tests.cluster.conftest import wait_until
from tests.services import REPOSITORY

SCHEDULE = """
from rq import cron

from disco_rq.examples.nightly import submit

cron.register(submit, queue_name="schedules", args=({directory!r},), interval=1)
"""
SLOW = """
import time
from disco_rq import Disco, result_iterator

def map(line, params):
    time.sleep(60)
    yield line, 1

def submit():
    with Disco() as disco:
        return disco.new_job("lasts", ["raw://one"], map=map, unique=True, on_end=("told.note", "mine")).name
"""
TOLD = """
import json, pathlib

def note(ending):
    with open(pathlib.Path(__file__).with_name("told.jsonl"), "a") as file:
        file.write(json.dumps(ending) + "\\n")
"""


@contextmanager
def rq(home: Path, disco: Disco, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of RQ, as a user starts it in a directory of theirs."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{home}:{REPOSITORY}",
        "DISCO_RQ_REDIS": disco.url,
        "DISCO_RQ_WEBHOOK_LOCAL": "on",
    }
    program = str(Path(sys.executable).with_name("rq"))
    with subprocess.Popen([program, *words, "--url", disco.url], cwd=home, env=environment) as going:
        try:
            yield going
        finally:
            going.terminate()
            try:
                going.wait(20)
            except subprocess.TimeoutExpired:
                going.kill()


def jobs_called(disco: Disco, prefix: str) -> list[str]:
    return [name for _, _, name in disco.joblist() if name.startswith(f"{prefix}@")]


def test_the_recipe_of_the_readme_submits_a_job_each_time(disco: Disco, tmp_path: Path) -> None:
    # given a directory of logs, and the schedule, each second
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "day1.log").write_text("09:00 /a\n09:01 /b\n09:02 /a\n")
    (tmp_path / "schedule.py").write_text(SCHEDULE.format(directory=str(logs)))
    # when RQ's cron and a worker run
    with rq(tmp_path, disco, "cron", "schedule.py"), rq(tmp_path, disco, "worker", "schedules"):
        wait_until(lambda: len(jobs_called(disco, "visits")) >= 2)
    # then the later one has read nothing again, and each job is right
    newest, *_ = names = jobs_called(disco, "visits")
    for name in names:
        assert dict(result_iterator(disco.wait(name, timeout=60))) == {"/a": 2, "/b": 1}
    assert disco.jobinfo(newest)["reused"] == 1
    for name in names:
        disco.purge(name)


def test_a_schedule_meets_its_own_job_that_still_runs(disco: Disco, tmp_path: Path) -> None:
    # given a job that takes longer than its schedule
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "told.py").write_text(TOLD)
    (tmp_path / "schedule.py").write_text(
        "from rq import cron\nfrom slow import submit\n"
        'cron.register(submit, queue_name="schedules2", interval=1)\n'
    )
    queue = Queue("schedules2", connection=disco.session.connection.redis)
    # when the schedule comes several times
    with rq(tmp_path, disco, "cron", "schedule.py"), rq(tmp_path, disco, "worker", "schedules2"):
        wait_until(lambda: FinishedJobRegistry(queue=queue).count >= 3)
    # then there is one job
    [name] = jobs_called(disco, "lasts")
    # and its end is told once, by a worker of the user's
    disco.purge(name)
    with rq(tmp_path, disco, "worker", "mine"):
        told = wait_until(lambda: lines_of(tmp_path / "told.jsonl"))
    assert [(one["job"], one["status"], one["cause"]["message"]) for one in told] == [
        (name, "dead", "it was purged")
    ]


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


class Got(list[Any]):
    """What was POSTed, and its headers."""

    def __init__(self) -> None:
        super().__init__()
        self.headers: list[Any] = []


@contextmanager
def receiver() -> Iterator[tuple[str, Got]]:
    """An address, and what was POSTed there."""
    got = Got()

    class Asked(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.headers.append(self.headers)
            got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Asked) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/hook", got
        finally:
            server.shutdown()
            thread.join()


def fail(line: str, params: Any) -> Any:
    raise ValueError("on purpose")


def slow(line: str, params: Any) -> Any:
    time.sleep(60)
    return [(line, 1)]


def good(line: str, params: Any) -> Any:
    return [(line, 1)]


def of_environment(line: str, params: Any) -> Any:
    yield "secret", os.environ.get("DISCO_RQ_WEBHOOK_SECRET")


def killed(disco: Disco, url: str) -> str:
    job = disco.new_job("killed", ["raw://a"], map=slow, on_end=url)
    job.kill()
    return job.name


def ready(disco: Disco, url: str) -> str:
    return disco.new_job("ready", ["raw://a"], map=good, on_end=url).name


def dead(disco: Disco, url: str) -> str:
    return disco.new_job("dead", ["raw://a"], map=fail, on_end=url).name


@pytest.mark.parametrize(
    ("end", "status", "message"),
    [
        (ready, "ready", None),
        (dead, "dead", "ValueError: on purpose (in entry 1 of raw://a)"),
        (killed, "dead", "it was killed"),
    ],
)
def test_a_worker_of_the_users_tells_an_address_each_end(
    disco: Disco, tmp_path: Path, end: Callable[[Disco, str], str], status: str, message: str | None
) -> None:
    queue = Queue(WEBHOOK_QUEUE, connection=disco.session.connection.redis)
    with receiver() as (url, got), rq(tmp_path, disco, "worker", WEBHOOK_QUEUE):
        wait_until(lambda: Worker.all(queue=queue))
        name = end(disco, url)
        wait_until(lambda: got)

    [told] = got
    assert (told["job"], told["status"]) == (name, status)
    assert (told["cause"] or {}).get("message") == message
    disco.purge(name)


def test_an_embedded_cluster_tells_addresses_itself_before_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCO_RQ_WEBHOOK_LOCAL", "on")
    monkeypatch.setenv("DISCO_RQ_WEBHOOK_SECRET", "ours")
    with receiver() as (url, got), Disco(workers=1) as own:
        # while it lives
        seen = own.new_job("seen", ["raw://a"], map=of_environment, on_end=url)
        assert list(result_iterator(seen.wait(timeout=30))) == [("secret", None)]  # which no task sees
        wait_until(lambda: got)
        # and what has ended when it is closed
        last = own.new_job("last", ["raw://a"], map=good, on_end=url)
        last.wait(timeout=30)

    assert [(told["job"], told["status"]) for told in got] == [(seen.name, "ready"), (last.name, "ready")]
    assert all(headers["X-Disco-Signature"].startswith("sha256=") for headers in got.headers)


def test_an_embedded_cluster_waits_for_no_address_that_refuses(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DISCO_RQ_WEBHOOK_LOCAL", raising=False)
    with receiver() as (url, got), Disco(workers=1) as own:
        own.new_job("refused", ["raw://a"], map=good, on_end=url).wait(timeout=30)
        own.close()

    assert not got
    # told once, in a line: an answer that will not change is not asked for again
    [line] = [line for line in capfd.readouterr().err.splitlines() if url in line]
    assert line.startswith(f"disco-rq: {url} leads to 127.0.0.1")


def test_jobspec_tells_whom_the_end_is_told(disco: Disco) -> None:
    job = disco.new_job("told", [], map=good, on_end=("told.note", "mine"), unique=True)

    assert job.jobspec()["on_end"] == ["told.note", "mine"]
    assert job.jobspec()["unique"] is True
    job.purge()


@pytest.mark.parametrize(
    "on_end",
    ["example.org", "ftp://a/b", "https://", 5, ("one",), ("note", "mine"), ("a.b", "disco.n1"), ("a.b", "")],
)
def test_what_nobody_can_be_told_by_is_refused(disco: Disco, on_end: Any) -> None:
    with pytest.raises(ValueError, match="on_end="):
        disco.new_job("refused", ["raw://a"], map=good, on_end=on_end)
