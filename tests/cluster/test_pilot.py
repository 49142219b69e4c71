"""Jobs with a pilot on real processes: the sample runs, then the job waits and tells what to expect."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, result_iterator
from disco_rq.func import kvgroup, sum_combiner
from tests.cluster.conftest import wait_until

BYTES_A_SECOND = 400_000


def read_slowly(text: bytes, params: Any) -> Iterator[tuple[str, int]]:
    time.sleep(len(text) / BYTES_A_SECOND)
    yield f"word{len(text) % 3}", len(text)


def whole(fd: Any, size: int | None, name: str) -> Iterator[bytes]:
    yield fd.read()


def take_memory(text: bytes, params: Any) -> Iterator[tuple[str, int]]:
    held = bytearray(100 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    yield "held", len(held)


def add_up(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, lengths in kvgroup(pairs):
        yield word, sum(lengths)


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Thirty of very uneven size."""
    paths = []
    for number in range(30):
        path = tmp_path / f"part{number:02}.txt"
        path.write_bytes(b"x" * int(1000 * 1.35 ** (number * 7 % 20)))
        paths.append(str(path))
    return paths


def submit(disco: Disco, files: list[str], **more: Any) -> Job:
    arguments: dict[str, Any] = {"map": read_slowly, "map_reader": whole, "reduce": add_up, "sort": True}
    return disco.new_job("pilot", files, nr_reduces=2, **{**arguments, **more})


def paused(job: Job) -> bool:
    return bool(job.jobinfo()["paused"])


def test_a_pilot_runs_and_the_job_waits_and_tells_what_to_expect(disco: Disco, files: list[str]) -> None:
    # given a job of uneven maps
    job = submit(disco, files, pilot=0.2)
    wait_until(lambda: paused(job))
    # then some of the maps are done, and no more run
    info = job.jobinfo()
    told = info["pilot"]
    assert info["mapi"][1:3] == [0, told["maps"]]
    assert told["maps"] == told["done"] >= 6
    assert told["slots"] == 2
    assert told["memory"] > 1 << 20
    # when it goes on
    began = time.monotonic()
    job.resume()
    results = job.wait(timeout=60)
    took_s = time.monotonic() - began
    # then all of it counts once, in about the time that was told
    assert sum(length for _, length in result_iterator(results)) == sum(
        Path(file).stat().st_size for file in files
    )
    assert told["seconds"]["low"] / 2 < took_s < told["seconds"]["high"] * 2 + 1
    assert job.jobinfo()["pilot"]["seconds"] == told["seconds"]
    assert job.jobinfo()["mapi"] == [0, 0, 30, 0]
    job.purge()


def test_wait_goes_on_at_the_pause_and_says_so_once(
    disco: Disco, files: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    job = submit(disco, files, pilot=1)
    with caplog.at_level(logging.WARNING):
        waiting = threading.Thread(target=job.wait, kwargs={"timeout": 60, "poll_interval": 0.05})
        waiting.start()
        wait_until(lambda: caplog.messages)
        assert waiting.is_alive()
        job.resume()
        waiting.join()

    assert caplog.messages == [f"{job.name} is paused after its pilot, and waits for resume"]
    job.purge()


def test_the_memory_of_the_task_that_held_most_is_told(disco: Disco, files: list[str]) -> None:
    job = submit(disco, files[:3], pilot=2, map=take_memory)
    wait_until(lambda: paused(job))

    assert 100 << 20 < job.jobinfo()["pilot"]["memory"] < 400 << 20
    job.purge()


def repeat(text: bytes, params: Any) -> Iterator[tuple[str, int]]:
    for number in range(5000):
        yield f"word{number % 100}", 1


@pytest.mark.parametrize(("combiner", "is_suggested"), [(None, True), (sum_combiner, False)])
def test_a_combiner_is_suggested_where_keys_repeat_and_there_is_none(
    disco: Disco, files: list[str], combiner: Any, is_suggested: bool
) -> None:
    job = submit(disco, files[:3], pilot=2, map=repeat, combiner=combiner)
    wait_until(lambda: paused(job))

    suggestions = job.jobinfo()["pilot"]["suggestions"]

    assert (
        any("combiner: a map gives some 50 pairs for a key" in line for line in suggestions) is is_suggested
    )
    job.purge()


def test_a_job_without_a_pilot_has_none(disco: Disco, files: list[str]) -> None:
    job = submit(disco, files[:2])
    job.wait(timeout=60)

    assert job.jobinfo()["pilot"] is None
    job.purge()
