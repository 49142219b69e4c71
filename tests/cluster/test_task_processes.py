"""Child processes that a task forks have the runtime API too, and what becomes of them harms nobody."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from typing import Any

from disco_rq import Disco, result_iterator
from disco_rq.errors import OOBKeyExists
from disco_rq.runtime import msg, put

FORK = multiprocessing.get_context("fork")
EACH = 100


def put_many(number: int) -> None:
    for i in range(EACH):
        put(f"{number}:{i}", number)


def children_put(entry: str, params: Any) -> Iterator[tuple[str, list[int | None]]]:
    children = [FORK.Process(target=put_many, args=[number]) for number in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    yield entry, [child.exitcode for child in children]


def talk() -> None:
    while True:
        msg("from a child")


def children_are_killed(entry: str, params: Any) -> Iterator[tuple[str, int]]:
    """As ``Pool.terminate`` kills them: in the middle of whatever they say to Redis."""
    wrong = 0
    put("twice", 0)
    for i in range(20):
        child = FORK.Process(target=talk)
        child.start()
        time.sleep(0.02)
        child.kill()
        child.join()
        try:
            put("twice", i)
            wrong += 1
        except OOBKeyExists:
            pass
        put(f"once:{i}", i)
    yield entry, wrong


def test_what_children_put_at_the_same_time_is_put_once_each(disco: Disco) -> None:
    job = disco.new_job("children", ["raw://x"], map=children_put)

    assert list(result_iterator(job.wait(timeout=60))) == [("x", [0] * 4)]
    assert {key: job.oob_get(key) for key in job.oob_list()} == {
        f"{number}:{i}": number for number in range(4) for i in range(EACH)
    }


def test_a_child_that_is_killed_while_it_speaks_leaves_the_task_its_own_answers(disco: Disco) -> None:
    job = disco.new_job("killed", ["raw://x"], map=children_are_killed)

    assert list(result_iterator(job.wait(timeout=60))) == [("x", 0)]
    assert job.oob_list() == sorted(["twice", *(f"once:{i}" for i in range(20))])
