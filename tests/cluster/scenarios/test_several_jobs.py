"""Jobs that follow one another, read one another's results, run at once, and are waited for together."""

from __future__ import annotations

import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, JobError, OOBNotFound, Params
from disco_rq.func import chain_reader
from disco_rq.runtime import err, get, msg, put, this_partition
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import PATIENCE_S, pairs, run, wait_for_file

ANIMALS = ["horse", "sheep", "whale", "tiger"]


def test_a_paused_job_says_so(disco: Disco, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = disco.new_job("paused", ["raw://a"], map=wait_for_gate, params=str(gate))

    job.pause()
    assert job.jobinfo()["paused"]
    job.resume()
    assert not job.jobinfo()["paused"]

    gate.touch()
    job.wait(timeout=30)
    told = [message for _, (_, _, message) in job.events()]
    assert told.index("Job is paused: nothing new starts") < told.index("Job goes on")


def wait_for_gate(entry: str, params: Any) -> list[tuple[str, int]]:
    wait_for_file(params)
    return [(entry, 1)]


def test_ten_jobs_make_a_chain(disco: Disco) -> None:
    """Each link puts its suffix behind the key, adds one to the value, and lets its reduces end the key."""

    def first_link(line: str, params: Any) -> Iterator[tuple[str, int]]:
        for animal in line.split():
            yield animal + params["suffix"], 0

    def link(pair: tuple[str, int], params: Any) -> Iterator[tuple[str, int]]:
        yield pair[0] + params["suffix"], pair[1] + 1

    def end_with_a_dash(pairs: Any, out: Any, params: Any) -> None:
        for key, value in pairs:
            out.add(key + "-", value)

    rest: dict[str, Any] = {"reduce": end_with_a_dash, "nr_reduces": 3}
    job = run(disco, input=[f"raw://{' '.join(ANIMALS)}"] * 5, map=first_link, params={"suffix": "0"}, **rest)
    for n in range(1, 10):
        job = run(
            disco,
            input=job.wait(),
            map=link,
            map_reader=chain_reader,
            params={"suffix": str(n)},
            **rest,
        )

    expected = [(f"{animal}0-1-2-3-4-5-6-7-8-9-", 9) for animal in ANIMALS]
    assert sorted(pairs(job)) == sorted(expected * 5)


# -- out-of-band results


REDUCES = 10


def put_letter(letter: str, params: Any) -> list[tuple[str, str]]:
    put(letter, f"value:{letter}")
    return [(letter, f"value:{letter}")]


def check_letters(pairs: Any, params: Any) -> Iterator[tuple[str, str]]:
    for letter, value in pairs:
        assert value == get(letter)
    key = f"reduce:{this_partition()}"
    put(key, f"value:{key}")
    yield "all", "ok"


def read_letter(letter: str, params: Any) -> list[tuple[str, str]]:
    return [(letter, get(letter, params.job))]


def test_26_maps_and_10_reduces_put_what_their_reduces_and_another_job_get(disco: Disco) -> None:
    letters = string.ascii_lowercase
    first = run(
        disco,
        input=[f"raw://{letter}" for letter in letters],
        map=put_letter,
        reduce=check_letters,
        nr_reduces=REDUCES,
    )
    second = run(
        disco,
        input=["raw://a", "raw://b", "raw://reduce:7"],
        map=read_letter,
        params=Params(job=first.name),
    )

    keys = [*letters, *(f"reduce:{n}" for n in range(REDUCES))]
    assert pairs(first) == [("all", "ok")] * REDUCES
    assert first.oob_list() == sorted(keys)
    assert {key: first.oob_get(key) for key in keys} == {key: f"value:{key}" for key in keys}
    assert pairs(second) == [(key, f"value:{key}") for key in ("a", "b", "reduce:7")]
    with pytest.raises(OOBNotFound):
        second.oob_get("a")


# -- at the same time


def wait_for_all(directory: str, mine: str, number: int) -> None:
    """Go on when so many have come here."""
    Path(directory, mine).touch()
    while len(list(Path(directory).iterdir())) < number:
        time.sleep(0.002)


def test_five_jobs_run_at_once_and_each_has_its_own_results(disco: Disco, tmp_path: Path) -> None:
    """A map goes on when one of another job has begun; each job has one worker at a time, of two."""

    def ten_times(entry: str, params: Any) -> Iterator[tuple[str, None]]:
        wait_for_all(params.directory, params.job, 2)
        for _ in range(10):
            yield entry, None

    def bracketed(pairs: Any, out: Any, params: Any) -> None:
        for key, value in pairs:
            out.add(f"[{key}]", value)

    inputs = {name: [f"raw://{name}{n}" for n in range(4)] for name in "abcde"}
    jobs = {
        name: disco.new_job(
            f"async_{name}",
            inputs[name],
            map=ten_times,
            reduce=bracketed,
            nr_reduces=11,
            scheduler={"max_cores": 1},
            params=Params(directory=str(tmp_path), job=name),
        )
        for name in inputs
    }

    for name, job in jobs.items():
        expected = [(f"[{name}{n}]", None) for n in range(4) for _ in range(10)]
        assert sorted(pairs(job)) == sorted(expected)


def test_of_four_jobs_waited_for_together_one_fails_and_all_are_told(disco: Disco, tmp_path: Path) -> None:
    def gated(entry: str, params: Any) -> list[Any]:
        wait_for_file(params.gate)
        return [(entry, 1)]

    def fails(entry: str, params: Any) -> list[Any]:
        err("this job is supposed to fail")
        return []

    gates = [tmp_path / f"gate{n}" for n in range(3)]
    jobs: list[Job] = [
        disco.new_job("waitmany", ["raw://a", "raw://b"], map=gated, params=Params(gate=str(gate)))
        for gate in gates
    ]
    jobs.insert(1, disco.new_job("waitmany", ["raw://a", "raw://b"], map=fails))
    gates[0].touch()

    finished, active = disco.results(jobs, timeout=PATIENCE_S)
    assert finished
    assert active
    for gate in gates:
        gate.touch()
    while active:
        more, active = disco.results(active, timeout=PATIENCE_S)
        finished += more

    statuses = {name: status for name, (status, _) in finished}
    assert [statuses[job.name] for job in jobs] == ["ready", "dead", "ready", "ready"]
    assert len(finished) == 4
    with pytest.raises(JobError, match="supposed to fail"):
        jobs[1].wait()
    for job in (jobs[0], jobs[2], jobs[3]):
        assert pairs(job) == [("a", 1), ("b", 1)]


def test_results_that_are_not_there_in_time_leave_the_job_going(disco: Disco, tmp_path: Path) -> None:
    def gated(entry: str, params: Any) -> list[Any]:
        wait_for_file(params)
        return [(entry, 1)]

    job = disco.new_job("waits", ["raw://a"], map=gated, params=str(tmp_path / "gate"))

    assert disco.results([job], timeout=0.05) == ([], [(job.name, ("active", []))])
    assert job.results(timeout=0.05) == ("active", [])
    (tmp_path / "gate").touch()
    assert pairs(job) == [("a", 1)]


def test_a_paused_job_starts_nothing_until_it_is_resumed(disco: Disco, tmp_path: Path) -> None:
    def gated(entry: str, params: Any) -> list[Any]:
        Path(params.directory, entry).touch()
        wait_for_file(params.gate)
        return [(entry, 1)]

    begun = tmp_path / "begun"
    begun.mkdir()
    names = [f"{n}" for n in range(8)]
    job = disco.new_job(
        "paused",
        [f"raw://{name}" for name in names],
        map=gated,
        params=Params(directory=str(begun), gate=str(tmp_path / "gate")),
    )
    wait_until(lambda: len(list(begun.iterdir())) == 2)

    job.pause()
    (tmp_path / "gate").touch()
    # as many other maps as it has find workers without work
    for _ in names:
        run(disco, map=lambda entry, params: [])
    wait_until(lambda: job.jobinfo()["mapi"][2] == 2)
    assert len(list(begun.iterdir())) == 2

    job.resume()
    assert pairs(job) == [(name, 1) for name in names]


# -- events


def test_the_history_can_be_read_on_from_any_of_its_events(disco: Disco, tmp_path: Path) -> None:
    def says(entry: str, params: Any) -> list[Any]:
        msg("before the gate")
        wait_for_file(params)
        msg("behind the gate")
        return [(entry, 1)]

    job = disco.new_job("events", ["raw://a"], map=says, params=str(tmp_path / "gate"))

    def so_far() -> list[Any]:
        events = list(job.events())
        return events if any(message == "before the gate" for _, (_, _, message) in events) else []

    first = wait_until(so_far)
    (tmp_path / "gate").touch()
    job.wait(timeout=PATIENCE_S)
    rest = list(job.events(offset=first[-1][0]))

    assert first + rest == list(job.events())
    messages = [message for _, (_, _, message) in first + rest]
    assert messages.index("before the gate") < len(first) <= messages.index("behind the gate")
    assert list(job.events(offset=rest[-1][0])) == []
    times = [timestamp for _, (timestamp, _, _) in first + rest]
    assert times == sorted(times)
