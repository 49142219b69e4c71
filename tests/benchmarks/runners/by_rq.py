"""RQ by hand: a Redis on a socket and two ``SimpleWorker``, which run tasks in their own process."""

from __future__ import annotations

import multiprocessing
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rq import Queue, SimpleWorker
from rq.results import Result

from tests.benchmarks.runners import WORKERS
from tests.benchmarks.runners.staged import stages

TIMEOUT_S = 600


class ByRQ:
    """A queue; results are waited for in their streams."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def each(self, function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        jobs = [Queue.prepare_data(function, (item,), timeout=TIMEOUT_S) for item in items]
        for job in self._queue.enqueue_many(jobs):
            result = Result.fetch_latest(job, serializer=job.serializer, timeout=TIMEOUT_S)
            if result is None or result.type is not Result.Type.SUCCESSFUL:
                raise RuntimeError(f"an RQ job failed: {result.exc_string if result else 'no result'}")
            yield result.return_value

    def shuffle(
        self,
        maps: Callable[[Any], list[bytes]],
        items: Sequence[Any],
        reduce: Callable[[list[bytes]], Any],
        nr_reduces: int,
    ) -> list[Any]:
        with stages(maps, items, reduce) as (mapped, reduced):
            list(self.each(mapped, enumerate(items)))
            return list(self.each(reduced, range(nr_reduces)))

    def funnel(
        self, maps: Callable[[Any], Any], items: Sequence[Any], reduce: Callable[[list[Any]], Any]
    ) -> Any:
        return next(self.each(reduce, [list(self.each(maps, items))]))


@contextmanager
def started() -> Iterator[ByRQ]:
    """With workers that have run something; all end with the context."""
    directory = tempfile.mkdtemp(prefix="bench-rq-")
    path = f"{directory}/redis"
    server = subprocess.Popen(
        ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", directory],
        stdout=subprocess.DEVNULL,
    )
    workers = []
    try:
        connection = Redis(unix_socket_path=path)
        _wait_for(connection, server)
        context = multiprocessing.get_context("spawn")
        workers = [context.Process(target=_work, args=(path,)) for _ in range(WORKERS)]
        for worker in workers:
            worker.start()
        runner = ByRQ(Queue("bench", connection=connection))
        list(runner.each(abs, range(100)))
        yield runner
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
        server.kill()
        server.wait()
        shutil.rmtree(directory, ignore_errors=True)


def _wait_for(connection: Redis, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        try:
            connection.ping()
            return
        except RedisConnectionError:
            pass
        try:
            server.wait(0.05)
        except subprocess.TimeoutExpired:
            continue
        raise RuntimeError("redis-server ended")
    raise RuntimeError("redis-server does not answer")


def _work(path: str) -> None:
    connection = Redis(unix_socket_path=path)
    SimpleWorker([Queue("bench", connection=connection)], connection=connection).work(logging_level="ERROR")
