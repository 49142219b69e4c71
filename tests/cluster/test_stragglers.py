"""A node that is far slower than the others: tasks that lag there are copied, and everything counts once."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from disco_rq import Disco, Job, Params, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, put, this_host, this_partition
from tests.cluster.conftest import wait_until
from tests.nodes import NodeCluster

SLOW = "slow"
TIMES = 10
HOPELESS_TIMES = 100
TASK_S = 0.4
MAPS, REDUCES = 24, 4
PATIENCE_S = 60.0


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"map:{this_partition()}", line)
    counter("lines")
    time.sleep(params.task_s * (params.times if this_host() == params.slow else 1))
    for word in line.split():
        yield word, 1


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    put(f"reduce:{this_partition()}", this_host())
    time.sleep(params.task_s * (params.times if this_host() == params.slow else 1))
    for word, ones in kvgroup(pairs):
        counter("different")
        yield word, sum(ones)


def submit(disco: Disco, times: int = TIMES, **arguments: Any) -> Job:
    return disco.new_job(
        "lagging",
        [f"raw://a b{i % 5}" for i in range(MAPS)],
        map=map_words,
        reduce=reduce_words,
        sort=True,
        nr_reduces=REDUCES,
        params=Params(task_s=TASK_S, times=times, slow=SLOW),
        **arguments,
    )


def timed(disco: Disco, **arguments: Any) -> tuple[Job, float]:
    """A job that ended with the answer, every result and counter once; and the seconds that it took."""
    began = time.monotonic()
    job = submit(disco, **arguments)
    job.wait(timeout=PATIENCE_S)
    took_s = time.monotonic() - began
    answer = {"a": MAPS} | {f"b{i}": (MAPS + 4 - i) // 5 for i in range(5)}
    assert dict(result_iterator(job.wait())) == answer
    names = [f"map:{i}" for i in range(MAPS)] + [f"reduce:{i}" for i in range(REDUCES)]
    assert job.oob_list() == sorted(names)
    info = job.jobinfo()
    assert info["counters"] == {"lines": MAPS, "different": len(answer)}
    assert (info["mapi"], info["redi"]) == ([0, 0, MAPS, 0], [0, 0, REDUCES, 0])
    return job, took_s


def outcomes(job: Job) -> list[str]:
    tasks = [f"map:{i}" for i in range(MAPS)] + [f"reduce:{i}" for i in range(REDUCES)]
    return [attempt["outcome"] for task in tasks for attempt in job.story(task)]


def test_a_job_waits_for_no_task_of_a_node_that_is_far_slower(nodes: NodeCluster) -> None:
    # given two good nodes, and one on which each task takes longer than the job on any machine
    nodes.master()
    for name in ("a", "b", SLOW):
        nodes.node(name, slots=2)
    nodes.wait_ready()

    # when the job runs on all three
    job, took_s = timed(nodes.disco, times=HOPELESS_TIMES)

    # then what the slow one had begun was copied, its attempts were overtaken, and the history says so
    assert took_s < HOPELESS_TIMES * TASK_S
    copies = job.jobinfo()["copies"]
    assert copies >= 1
    assert outcomes(job).count("overtaken") >= 1
    # Beside these only what was handed back from the slow node's queue.
    assert {"done", "overtaken"} <= set(outcomes(job)) <= {"done", "overtaken", "release"}
    told = [message for _, (_, _, message) in job.events() if " lags on slow (" in message]
    assert len(told) == copies


def test_without_speculation_there_are_no_copies(nodes: NodeCluster) -> None:
    nodes.master()
    for name in ("a", SLOW):
        nodes.node(name, slots=2)
    nodes.wait_ready()

    job, _ = timed(nodes.disco, scheduler={"speculative": False})

    assert job.jobinfo()["copies"] == 0
    assert set(outcomes(job)) == {"done"}


def hang_there(line: str, params: Any) -> list[tuple[str, str]]:
    if this_host() == SLOW:
        with Path(params.directory, f"pid-{this_partition()}").open("w") as file:
            file.write(str(os.getpid()))
        time.sleep(600)
    time.sleep(0.2)
    return [(line, this_host())]


def test_an_attempt_that_was_overtaken_is_ended_and_its_slot_goes_on(
    nodes: NodeCluster, tmp_path: Path
) -> None:
    # given tasks that would hang for minutes on one node
    nodes.master()
    for name in ("a", SLOW):
        nodes.node(name, slots=2)
    nodes.wait_ready()
    inputs = [f"raw://{i}" for i in range(8)]
    job = nodes.disco.new_job("hangs", inputs, map=hang_there, params=Params(directory=str(tmp_path)))

    # when their copies are committed, then their processes end
    assert sorted(result_iterator(job.wait(timeout=PATIENCE_S))) == [(str(i), "a") for i in range(8)]
    hung = [int(file.read_text()) for file in tmp_path.iterdir()]
    assert hung
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in hung))

    # and the files of what does not count are gone, and the node runs the next job
    left = {path.name for path in nodes.data(SLOW).rglob("map-*") if not path.name.endswith(".log")}
    assert left == set()
    again = nodes.disco.new_job(
        "again", inputs, map=lambda line, params: [(line, this_host())], scheduler={"max_cores": 4}
    )
    again.wait(timeout=PATIENCE_S)
    assert nodes.disco.nodeinfo()["active"] == []
