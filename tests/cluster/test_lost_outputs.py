"""A map output that can no longer be read is made again; redundant inputs are tried one after the other."""

from __future__ import annotations

import os
import random
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Params, result_iterator
from disco_rq.client.submission import SMALL_BYTES
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, data_err, put, this_inputs, this_name, this_partition
from tests.cluster.small_jobs import wait_for_death

ANSWER = {"a": 3, "b": 2, "c": 1}


def harm(path: Path, how: str) -> None:
    """What may happen to a file."""
    if how == "gone":
        path.unlink()
    elif how == "truncated":
        os.truncate(path, path.stat().st_size // 2)
    else:
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)


def words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """The last map harms the first output of each other map, as soon as it is there."""
    put(f"map:{this_partition()}", line)
    counter("lines")
    for word in line.split():
        yield word, 1
    if this_partition() == params.maps - 1:
        for index in range(params.maps - 1):
            output = Path(params.data, this_name(), f"map-{index}.1")
            while not output.exists():
                time.sleep(0.005)
            harm(output, params.how)


def count(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in kvgroup(pairs):
        yield word, sum(ones)


@pytest.mark.parametrize("how", ["gone", "truncated", "altered"])
@pytest.mark.parametrize("sort", [True, False])
def test_maps_whose_output_is_lost_run_again_and_nothing_counts_twice(
    disco: Disco, how: str, sort: bool
) -> None:
    # Too much for one batch, whose outputs would share a file.
    inputs = [f"raw://{line}{' ' * SMALL_BYTES}" for line in ("a b a", "b c", "a")]
    assert disco._cluster is not None
    params = Params(how=how, maps=3, data=str(disco._cluster.directory / "data"))
    arguments: dict[str, Any] = {"map": words, "reduce": count, "sort": sort, "nr_reduces": 2}
    job = disco.new_job("lost", inputs, params=params, **arguments)
    totals: dict[str, int] = {}
    for word, number in result_iterator(job.wait(timeout=60)):
        totals[word] = totals.get(word, 0) + number
    assert totals == ANSWER
    assert job.oob_list() == ["map:0", "map:1", "map:2"]
    info = job.jobinfo()
    assert info["counters"] == {"lines": 3}
    assert info["entries"]["map"] == 3
    assert info["mapi"] == [0, 0, 3, 2]
    messages = [message for _, (_, _, message) in job.events()]
    assert sum("It is made again" in message for message in messages) == 2


def test_an_output_that_is_always_lost_ends_the_job_with_the_cause(disco: Disco) -> None:
    def harmed(line: str, params: Any) -> list[tuple[str, int]]:
        return [(line, 1)]

    def bad_input(pairs: Any, params: Any) -> Iterator[Any]:
        list(pairs)
        data_err("does not look right", this_inputs()[0])
        yield

    job = disco.new_job("always", ["raw://x"], map=harmed, reduce=bad_input, nr_reduces=1, max_failures=1)
    message = wait_for_death(job)
    assert "map:0" in message
    assert "does not look right" in message


def lose_after_reading(pairs: Any, params: Any) -> Iterator[Any]:
    """Each takes away the map output that it has read: the second one finds none."""
    got = list(pairs)
    for output in Path(params, this_name()).glob("map-0.*"):
        output.unlink()
    yield from got


def alter_the_others(pairs: Any, params: Any) -> Iterator[Any]:
    """What lies in the other partition of two cannot be read any more."""
    yield from pairs
    for output in Path(params, this_name()).glob("map-0.*"):
        content = bytearray(output.read_bytes())
        content[len(content) * (3 - 2 * this_partition()) // 4] ^= 0xFF
        output.write_bytes(content)


def drawn(line: str, params: Any) -> list[tuple[int, int]]:
    put("line", line)
    counter("runs")
    return [(number, 1) for number in random.sample(range(10**9), 1000)]


@pytest.mark.parametrize(
    ("reduce", "told"),
    [
        (lose_after_reading, "; run once more, it differed again, first at the key"),
        (alter_the_others, ", first at the key"),
    ],
    ids=["gone", "readable in part"],
)
def test_a_map_that_comes_back_different_ends_the_job_and_is_named_with_a_key(
    disco: Disco, reduce: Any, told: str
) -> None:
    assert disco._cluster is not None
    data = str(disco._cluster.directory / "data")

    job = disco.new_job(
        "drawn",
        ["raw://a"],
        map=drawn,
        reduce=reduce,
        nr_reduces=2,
        params=data,
        scheduler={"max_cores": 1},
    )

    message = wait_for_death(job)

    assert "map:0 is not deterministic" in message
    assert re.search(
        rf"partition (\d), which reduce:\1 has read before{re.escape(told)} \d+\. Let it", message
    )
    assert job.oob_list() == ["line"]
    assert job.jobinfo()["counters"] == {"runs": 1}
    assert not list(Path(data, job.name).glob("map-0.0*"))
    assert job.jobinfo()["mapi"][2] == 0


def test_a_map_that_comes_back_in_another_order_is_the_same(disco: Disco) -> None:
    assert disco._cluster is not None
    data = str(disco._cluster.directory / "data")

    def shuffled(line: str, params: Any) -> list[tuple[int, int]]:
        return random.sample([(i, 1) for i in range(1000)], 1000)

    job = disco.new_job(
        "shuffled",
        ["raw://a"],
        map=shuffled,
        reduce=lose_after_reading,
        nr_reduces=2,
        params=data,
        scheduler={"max_cores": 1},
    )

    assert sorted(result_iterator(job.wait(timeout=60))) == [(i, 1) for i in range(1000)]
    assert any("It is made again" in message for _, (_, _, message) in job.events())


def read(line: str, params: Any) -> list[tuple[str, str]]:
    return [(line, this_inputs()[0])]


def test_a_replica_that_cannot_be_read_is_dropped_for_the_next(disco: Disco, tmp_path: Path) -> None:
    # given: readable at submit, a directory to which no reader has the right format; then a good file
    bad = tmp_path / "bad.gz"
    bad.write_bytes(b"this is no gzip")
    good = tmp_path / "good.txt"
    good.write_text("line\n")
    job = disco.new_job("replicas", [[str(bad), str(good)]], map=read)
    # then
    assert list(result_iterator(job.wait(timeout=30))) == [("line", str(good))]
    assert job.jobinfo()["mapi"] == [0, 0, 1, 1]


def test_a_replica_that_the_map_complains_of_is_dropped_too(disco: Disco, tmp_path: Path) -> None:
    replicas = []
    for name in ("first", "second", "third"):
        path = tmp_path / name
        path.write_text(f"{name}\n")
        replicas.append(str(path))

    def only_third(line: str, params: Any) -> list[tuple[str, str]]:
        if line != "third":
            data_err(f"not {line}")
        return [(line, this_inputs()[0])]

    job = disco.new_job("replicas", [replicas], map=only_third)
    assert list(result_iterator(job.wait(timeout=30))) == [("third", replicas[2])]
    assert job.jobinfo()["mapi"] == [0, 0, 1, 2]


def test_replicas_that_all_fail_end_the_job_with_every_cause(disco: Disco, tmp_path: Path) -> None:
    replicas = []
    for name in ("one.gz", "two.gz"):
        path = tmp_path / name
        path.write_bytes(b"no gzip")
        replicas.append(str(path))
    job = disco.new_job("replicas", [replicas], map=read, max_failures=1)
    message = wait_for_death(job)
    assert "one.gz" in message
    assert "two.gz" in message
