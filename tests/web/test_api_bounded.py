"""Nothing that is asked of the page costs its master anything, nor the page more than a bounded share."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from disco_rq.store import keys
from disco_rq.store.connection import Connection
from disco_rq.views.oob import MOST_VALUE_BYTES
from disco_rq.views.sources import Tables
from disco_rq.web.process import MEMORY_BYTES
from tests.nodes import Part
from tests.redis.story import JOB, submit
from tests.web.conftest import WebCluster
from tests.web.visitor import Visitor

PAGE_MAX_BYTES = 600 << 20
MASTER_GROWS_BYTES = 20 << 20


def large(entry: str, params: Any) -> Iterator[tuple[int, list[int]]]:
    for number in range(int(entry)):
        yield number, list(range(params))


def page_of(master: Part) -> psutil.Process:
    """The process that serves its page."""
    [page] = psutil.Process(master.pid).children()
    return page


class Peaks(threading.Thread):
    """The most memory that processes had while this ran."""

    def __init__(self, *processes: psutil.Process) -> None:
        super().__init__()
        self._processes = processes
        self._ended = threading.Event()
        self.bytes = [0] * len(processes)

    def run(self) -> None:
        while not self._ended.wait(0.01):
            now = [process.memory_info().rss for process in self._processes]
            self.bytes = list(map(max, zip(self.bytes, now, strict=True)))

    def __enter__(self) -> Peaks:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()


@pytest.mark.parametrize(("records", "size"), [("20", 1_000_000), ("3000", 20_000)])
def test_previews_of_large_values_cost_the_master_nothing(
    cluster: WebCluster, records: str, size: int
) -> None:
    visitor = Visitor(cluster.page_root())
    assert visitor.get("/healthz").status == 200
    job = cluster.disco.new_job("large", [f"raw://{records}"], map=large, params=size)
    job.wait(timeout=90)
    [leading] = cluster.masters
    master, page = psutil.Process(leading.pid), page_of(leading)
    before, answers = master.memory_info().rss, []
    ask = [
        threading.Thread(target=lambda: answers.append(visitor.job(job.name, "results/0/preview")))
        for _ in range(6)
    ]
    with Peaks(master, page) as peaks:
        for thread in ask:
            thread.start()
        small = cluster.disco.new_job("small", ["raw://1"], map=large, params=1)
        began = time.monotonic()
        small.wait(timeout=30)
        took = time.monotonic() - began
        for thread in ask:
            thread.join()
    assert len(answers) == 6
    assert all(answer["records"] or "too many" in answer["error"] for answer in answers)
    assert peaks.bytes[0] - before < MASTER_GROWS_BYTES
    assert peaks.bytes[1] < PAGE_MAX_BYTES
    assert took < 5


def test_a_page_that_dies_is_started_again_and_its_master_leads_on(cluster: WebCluster) -> None:
    visitor = Visitor(cluster.page_root())
    [leading] = cluster.masters
    assert visitor.get("/healthz").status == 200
    page = page_of(leading)
    assert page.rlimit(psutil.RLIMIT_DATA)[0] <= MEMORY_BYTES
    page.kill()
    deadline = time.monotonic() + 20
    while True:
        try:
            assert visitor.get("/healthz").status == 200
            break
        except OSError:
            assert time.monotonic() < deadline
    assert page_of(leading).pid != page.pid
    assert leading.is_running


def test_a_value_that_is_too_large_for_a_page_is_for_the_command_line(
    api: Visitor, connection: Connection
) -> None:
    submit(connection)
    connection.redis.hset(keys.JobKeys(JOB).oob, "big", bytes(MOST_VALUE_BYTES + 1))

    for what in ("oob/big", "oob/big/download"):
        answer = api.get(f"jobs/{JOB}/{what}")
        assert (answer.status, answer.code) == (409, "refused")
    assert api.job(JOB, "oob")["results"][0]["size"] == MOST_VALUE_BYTES + 1


def test_a_table_of_more_tasks_than_it_may_hold_is_refused_by_number(
    api: Visitor, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    submit(connection)
    pipe = connection.redis.pipeline(transaction=False)
    for first in range(0, Tables.MOST_ROWS + 1, 20_000):
        pipe.hset(keys.JobKeys(JOB).tasks, mapping={f"map:{first + i}": "waiting" for i in range(20_000)})
        pipe.execute()

    answer = api.get(f"jobs/{JOB}/timeline")

    assert (answer.status, answer.code) == (409, "refused")
    assert "620,000" in answer.json["error"]["message"]
