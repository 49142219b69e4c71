"""What a horse has done waits whole, where its worker can read it, too."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from disco_rq.machine.child import answer_of_child
from disco_rq.model import StageResult, TaskId
from disco_rq.store.attempts import Attempt, Commit
from disco_rq.worker.finished import Finished

RESULT = StageResult(3, 2, 10, counters={"lines": 1}, content=b"x", partition_bytes={0: 4}, digests=b"1234")
COMMITS = [
    Commit(
        Attempt("job@20260101-000000-aaaa", task, 2, "n1", "w1"),
        f"disco://n1/{task}",
        50,
        RESULT,
        puts=1,
        put_bytes=9,
        is_result=True,
        ended_s=1.5,
        changes_seen=3,
    )
    for task in (TaskId("map", 7), TaskId("reduce", 0))
]


def test_commits_that_wait_are_read_as_they_were_given() -> None:
    finished = Finished()

    def horse() -> bytes:
        assert all(map(finished.add, COMMITS))
        assert finished.all() == COMMITS
        return b"added"

    assert answer_of_child(horse, 20) == b"added"
    assert finished.all() == COMMITS
    assert finished.waits_s > 0

    finished.clear()
    assert (finished.all(), finished.waits_s) == ([], 0)
    finished.close()


def test_what_its_worker_has_committed_does_not_wait_for_a_horse_any_more() -> None:
    finished = Finished()
    (asked, ask), (told, tell) = os.pipe(), os.pipe()
    next_one = replace(COMMITS[0], address="disco://n1/map:8")  # of the same size

    def horse() -> bytes:
        finished.add(COMMITS[0])
        os.write(ask, b"?")
        os.read(told, 1)
        seen = [finished.all()]
        finished.add(next_one)
        return b"right" if [*seen, finished.all()] == [[], [next_one]] else b"wrong"

    def worker() -> None:
        os.read(asked, 1)
        finished.clear()
        os.write(tell, b".")

    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(worker)
        assert answer_of_child(horse, 20) == b"right"
        done.result()
    assert finished.all() == [next_one]
    finished.close()


def test_what_has_no_room_does_not_wait() -> None:
    finished = Finished()
    large = Commit(COMMITS[0].attempt, "disco://n1/large", 1, StageResult(1, 1, 1, content=bytes(1 << 20)))

    assert not finished.add(large)
    assert finished.all() == []
    finished.close()
