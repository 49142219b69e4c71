"""A text of 100 MB on two workers: the counts of one plain loop, and nothing bulky in Redis."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, result_iterator
from disco_rq.func import kvgroup, sum_combiner

TEXT_BYTES = 100_000_000
REDIS_BYTES = 50 << 20
SPLIT_BYTES = 16 << 20


@pytest.fixture(scope="module")
def big_text(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Words of which some are frequent and most are rare, the same ones every time."""
    choose = random.Random(20261123)
    words = ["".join(choose.choices("aeioudlmnrst", k=choose.randint(4, 14))) for _ in range(50_000)]
    often = [1 / rank for rank in range(1, len(words) + 1)]
    blocks = []
    for _ in range(20):
        chosen = choose.choices(words, often, k=12 * 2_000)
        blocks.append(
            "".join(" ".join(chosen[i : i + 12]) + "\n" for i in range(0, len(chosen), 12)).encode()
        )
    path = tmp_path_factory.mktemp("big") / "text.txt"
    with path.open("wb") as file:
        while (left := TEXT_BYTES - file.tell()) > 0:
            file.write(choose.choice(blocks)[:left])
    yield path
    path.unlink()


@contextmanager
def highest_memory(disco: Disco) -> Iterator[list[int]]:
    """The highest ``used_memory`` of the server while the block runs, as the one entry of a list."""
    highest, over = [0], threading.Event()

    def watch() -> None:
        while True:
            info: Any = disco.session.connection.redis.info("memory")
            highest[0] = max(highest[0], info["used_memory"])
            if over.wait(0.05):
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield highest
    finally:
        over.set()
        watcher.join()


def count_words(line: str, params: Any) -> list[tuple[str, int]]:
    return [(word, 1) for word in line.split()]


def sum_groups(iter: Iterator[Any], params: Any) -> Iterator[tuple[str, int]]:
    for word, counts in kvgroup(iter):
        yield word, sum(counts)


def test_100_mb_on_two_workers_give_the_counts_of_a_plain_loop_and_leave_redis_small(
    disco: Disco, big_text: Path
) -> None:
    assert big_text.stat().st_size == TEXT_BYTES

    with highest_memory(disco) as used_memory:
        job = disco.new_job(
            "big",
            [str(big_text)],
            map=count_words,
            combiner=sum_combiner,
            reduce=sum_groups,
            sort=True,
            nr_reduces=2,
            split_size=SPLIT_BYTES,
        )
        counts = dict(result_iterator(job.wait(timeout=100)))

    expected: Counter[str] = Counter()
    with big_text.open() as lines:
        for line in lines:
            expected.update(line.split())
    assert counts == expected
    assert job.jobinfo()["mapi"] == [0, 0, 6, 0]
    assert 0 < used_memory[0] < REDIS_BYTES
    job.purge()
