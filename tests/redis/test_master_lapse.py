"""A leader that was stopped, or cut off, while another one led: it reads all anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from disco_rq.master import caretaker, term
from disco_rq.master import master as master_module
from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.store.jobs import JobStore
from tests.redis.fake_node import master, working
from tests.redis.story import JOB, OTHER, submit, wait_until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch, up_for_long: None) -> None:
    monkeypatch.setattr(term, "POLL_MS", 30)
    monkeypatch.setattr(master_module, "RENEW_S", 0.1)
    monkeypatch.setattr(term, "RENEW_S", 0.1)
    monkeypatch.setattr(caretaker, "QUEUE_PATIENCE_S", 0.15)


def test_a_job_that_came_while_another_one_led_is_not_forgotten(
    connect: Callable[[], Connection], connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with working(connect, "n1"), master(connect) as first:
        wait_until(lambda: hasattr(first, "_term"))
        # given a leader that is stopped right before it reads what happened
        stopped, goes_on = threading.Event(), threading.Event()
        read = first._store.read_control

        def stop_and_read(*arguments: Any) -> Any:
            stopped.set()
            assert goes_on.wait(30)
            return read(*arguments)

        monkeypatch.setattr(first._store, "read_control", stop_and_read)
        assert stopped.wait(5)
        connection.redis.delete(keys.LEADER)  # its lease runs out
        # and another one that leads then, hears of a job, forgets what it was told, and leaves
        with master(connect) as second:
            wait_until(lambda: connection.redis.get(keys.LEADER) == second._lead.token.encode())
            connection.redis.sadd(keys.BLACKLIST, "n1")  # so that the job only waits
            connection.redis.xadd(keys.CONTROL, {"k": "nodes", "n": "n1"})
            submit(connection, maps=2, reduces=0)
            for _ in range(300):
                connection.redis.xadd(keys.CONTROL, {"k": "nodes", "n": "n1"})
            wait_until(lambda: connection.redis.xlen(keys.CONTROL) < 120)
        connection.redis.srem(keys.BLACKLIST, "n1")
        # when the first one is back
        goes_on.set()
        submit(connection, maps=2, reduces=0, name=OTHER)
        # then it knows both jobs
        jobs = JobStore(connection)
        wait_until(lambda: jobs.statuses([JOB, OTHER]) == ["ready", "ready"])
