"""Jobs of many small tasks, whether their inputs can be read at once or not."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from disco_rq import Disco
from disco_rq.func import kvgroup, sum_combiner
from tests.cluster.small_jobs import pairs, run

LINE = "Gutta cavat cavat lapidem"
MAPS = 5000


def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    for word in line.lower().split():
        yield word, 1


def totals(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, counts in kvgroup(pairs):
        yield word, sum(counts)


def test_5000_maps_are_all_counted_once(disco: Disco) -> None:
    job = run(
        disco,
        input=[f"raw://{LINE}"] * MAPS,
        map=words,
        combiner=sum_combiner,
        reduce=totals,
        nr_reduces=4,
        sort=True,
    )

    assert dict(pairs(job)) == {"gutta": MAPS, "cavat": 2 * MAPS, "lapidem": MAPS}
    assert job.jobinfo()["mapi"] == [0, 0, MAPS, 0]
    job.purge()


def test_only_a_map_gives_every_line_of_every_input(disco: Disco) -> None:
    inputs = [f"raw://{n}\n{n}\n{n}" for n in range(200)]

    job = run(disco, input=inputs, map=lambda line, params: [(line, 1)])

    assert Counter(key for key, _ in pairs(job)) == {str(n): 3 for n in range(200)}
    assert len(job.wait()) == 200


class NumberServer(ThreadingHTTPServer):
    """Gives ten times the number that is the path; fails those in ``failing`` the first time."""

    daemon_threads = True

    def __init__(self, failing: set[int]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.failing = failing
        self.served: Counter[int] = Counter()
        self.lock = threading.Lock()

    def url(self, number: int) -> str:
        return f"http://127.0.0.1:{self.server_port}/{number}"

    def answer(self, number: int) -> bytes | None:
        with self.lock:
            self.served[number] += 1
            if number in self.failing:
                self.failing.remove(number)
                return None
        return b"%d\n" % (number * 10)


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, NumberServer)
        is_probe = "Range" in self.headers  # of who plans: what fails once, fails for a task
        body = None if is_probe else self.server.answer(int(self.path[1:]))
        self.send_response(200 if body else 503)
        self.send_header("Content-Length", str(len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def numbers() -> Iterator[NumberServer]:
    """Half of its 50 numbers cannot be had the first time."""
    with NumberServer(failing=set(range(0, 50, 2))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_25_of_50_inputs_fail_once_and_are_read_the_second_time(disco: Disco, numbers: NumberServer) -> None:
    def ten_times(line: str, params: Any) -> list[tuple[int, str]]:
        return [(int(line) * 10, "")]

    job = run(disco, input=[numbers.url(n) for n in range(50)], map=ten_times)

    assert sum(key for key, _ in pairs(job)) == sum(range(50)) * 100
    assert not numbers.failing
    assert job.jobinfo()["mapi"] == [0, 0, 50, 25]
