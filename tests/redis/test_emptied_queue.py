"""``rq empty`` of a guest: what it threw out of a queue is told, and given out again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from disco_rq.master import caretaker
from disco_rq.store.connection import Connection
from disco_rq.store.queues import node_queue
from tests.redis.fake_node import master, queued, register, working
from tests.redis.story import history, submit, wait_until
from tests.redis.test_master import ended


def test_batches_that_were_thrown_out_of_a_queue_are_told_and_given_out_again(
    connect: Callable[[], Connection], connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caretaker, "QUEUE_PATIENCE_S", 0.2)
    register(connection, "n1")
    with master(connect):
        submit(connection, maps=3, reduces=0)
        wait_until(lambda: bool(queued(connection, "n1")))
        queue: Any = node_queue(connection.redis, "n1")

        queue.empty()

        wait_until(lambda: any("'rq empty'" in line for line in history(connection)))
        with working(connect, "n1"):
            wait_until(lambda: ended(connection), 10)
