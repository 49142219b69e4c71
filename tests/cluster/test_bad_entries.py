"""Bad entries on a cluster: each is kept once, whatever dies or is lost, and leaves with its job."""

from __future__ import annotations

import gzip
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import BadEntry, DataError, Disco, Job, Params, func, local
from disco_rq.errors import BadEntryError, UnknownJob
from disco_rq.runtime import counter, put, skip_entry, this_name, this_partition
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import data_dir, death, is_first_attempt, pairs, run, wait_for_death


def numbers(e: str, params: Any) -> Iterator[tuple[str, int]]:
    yield "before", 1
    counter("lines")
    put(f"{this_partition()}:{e}", e)
    if e == "skip":
        skip_entry(e, "not wanted")
    yield "sum", int(e if e != "skip" else 0)


JOB: dict[str, Any] = {"map": numbers, "reduce": func.sum_reduce, "sort": True, "nr_reduces": 1}
INPUT = [f"raw://{i}\nx{i}\nskip\n{i}0" for i in range(4)]
BAD = [(f"map:{i}", number, entry) for i in range(4) for number, entry in ((2, f"x{i}"), (3, "skip"))]


def assert_right(job: Job) -> None:
    assert dict(pairs(job)) == {"before": 8, "sum": 66}
    info = job.jobinfo()
    assert info["counters"] == {"lines": 8}
    assert info["bad"] == len(BAD)
    assert [(bad.task, bad.number, bad.entry) for bad in job.bad_entries()] == BAD
    assert sorted(job.oob_list()) == sorted(f"{i}:{e}" for i in range(4) for e in {f"{i}", f"{i}0"})


def test_nothing_of_a_bad_entry_counts_and_each_is_kept(disco: Disco) -> None:
    job = run(disco, input=INPUT, max_bad=8, **JOB)

    assert_right(job)
    first, second = list(disco.bad_entries(job.name))[:2]
    assert first == BadEntry("map:0", "raw://0\nx0\nskip\n00", 2, 2, "x0", first.error, first.traceback)
    assert first.error == "ValueError: invalid literal for int() with base 10: 'x0'"
    assert "in numbers" in first.traceback
    assert (second.error, second.traceback) == ("not wanted", "")
    told = [message for _, (_, _, message) in job.events() if "left out" in message]
    assert sorted(told)[0] == f"map:0 has left out 2 bad entries, such as {first.error}"


def test_they_leave_with_their_job(disco: Disco) -> None:
    job = run(disco, input=INPUT, max_bad=8, **JOB)
    files = data_dir(disco, job)
    assert sorted(path.name for path in files.glob("*.bad")) == [f"map-{i}.1.bad" for i in range(4)]

    job.purge()

    assert not files.exists()
    with pytest.raises(UnknownJob):
        list(job.bad_entries())


def test_of_a_file_that_is_gone_it_is_said_behind_the_others(disco: Disco) -> None:
    job = run(disco, input=INPUT, max_bad=8, **JOB)
    (data_dir(disco, job) / "map-1.1.bad").unlink()

    found: list[str] = []
    with pytest.raises(DataError, match=r"not all bad entries can be read: .*map-1\.1"):
        found.extend(bad.task for bad in job.bad_entries())

    assert found == ["map:0", "map:0", "map:2", "map:2", "map:3", "map:3"]


@pytest.mark.parametrize("max_bad", [7, 0.4, 0])
def test_more_than_allowed_end_the_job_and_are_told(disco: Disco, max_bad: float) -> None:
    told = death(disco, input=INPUT, max_bad=max_bad, **JOB)

    if max_bad:
        assert "too many bad entries: 8" in told
        assert f"more than max_bad={max_bad} allows: 4 times, such as " in told
        assert "' (raw://" in told
    else:
        assert "ValueError" in told or "BadEntryError: raw://" in told


def test_one_more_while_a_map_runs_ends_it_early(disco: Disco, tmp_path: Path) -> None:
    path = tmp_path / "all-bad"
    path.write_text("x\n" * 1_000_000)

    began = time.monotonic()
    job = disco.new_job("early", [str(path)], max_bad=10, split_size=None, **JOB)
    told = wait_for_death(job)

    assert "too many bad entries: 11, more than max_bad=10 allows: 11 times, such as ValueError" in told
    assert time.monotonic() - began < 10
    assert [bad.number for bad in job.bad_entries()] == list(range(1, 12))
    assert job.jobinfo()["bad"] == 11


def test_a_map_looks_at_what_others_have_left_out(disco: Disco, tmp_path: Path) -> None:
    """It goes on for a minute, unless it hears that there are too many."""

    def slow(e: str, params: Any) -> Iterator[tuple[str, int]]:
        if this_partition() == 1:
            time.sleep(0.3)
        raise ValueError(e)
        yield

    path = tmp_path / "slow"
    path.write_text("x\n" * 200)
    job = disco.new_job("look", ["raw://a\nb\nc\nd", str(path)], map=slow, max_bad=7)

    assert "more than max_bad=7 allows" in wait_for_death(job)
    assert 7 < job.jobinfo()["bad"] < 20


def killed_once(e: str, params: Any) -> Iterator[tuple[str, int]]:
    """A process dies behind its bad entries; the other one of two copies is overtaken."""
    yield from numbers(e, params)
    if e == "20" and is_first_attempt(f"{params.directory}/killed"):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_task_that_is_run_again_leaves_them_out_once(disco: Disco, tmp_path: Path) -> None:
    job = run(
        disco,
        input=INPUT,
        max_bad=8,
        params=Params(directory=str(tmp_path)),
        **JOB | {"map": killed_once},
    )

    assert job.jobinfo()["mapi"] == [0, 0, 4, 1]
    assert_right(job)


def lose_once(pairs: Any, out: Any, params: Any) -> None:
    """Map outputs, and what lies beside them, are gone once before the reduce reads them."""
    if is_first_attempt(f"{params.directory}/lost"):
        for path in Path(params.data, this_name()).glob("map-[02].*"):
            path.unlink()
    func.sum_reduce(pairs, out, params)


def test_a_map_that_is_made_again_leaves_them_out_once(disco: Disco, tmp_path: Path) -> None:
    assert disco._cluster is not None
    params = Params(directory=str(tmp_path), data=str(disco._cluster.directory / "data"))
    large = [f"{url}\n{'0' * 70_000}" for url in INPUT]  # small outputs lie in one file

    def lines(e: str, params: Any) -> Iterator[tuple[str, int]]:
        if len(e) > 1000:
            yield e, 1
        else:
            yield from numbers(e, params)

    arguments = JOB | {"map": lines, "reduce": lose_once, "nr_reduces": 2, "scheduler": {"max_cores": 1}}
    job = run(disco, input=large, max_bad=8, params=params, **arguments)

    assert any("made again" in message for _, (_, _, message) in job.events())
    assert [(bad.task, bad.number, bad.entry) for bad in job.bad_entries()] == BAD
    assert job.jobinfo()["bad"] == len(BAD)


def test_those_of_committed_tasks_are_there_while_the_job_runs(disco: Disco, tmp_path: Path) -> None:
    go = tmp_path / "go"

    def waits(e: str, params: Any) -> Iterator[tuple[str, int]]:
        while this_partition() == 1 and not Path(params).exists():
            time.sleep(0.01)
        yield from numbers(e, params)

    job = disco.new_job("waits", INPUT[:2], max_bad=4, params=str(go), **JOB | {"map": waits})
    try:
        found = wait_until(lambda: list(job.bad_entries()))
        assert [(bad.task, bad.entry) for bad in found] == [("map:0", "x0"), ("map:0", "skip")]
    finally:
        go.touch()
    job.wait(timeout=30)
    assert len(list(job.bad_entries())) == 4


def forks(e: str, params: Any) -> Iterator[tuple[str, int]]:
    """What a child of the task would skip, nobody would hear of."""
    pid = os.fork()
    if pid == 0:
        try:
            skip_entry(e, "in the child")
        except BadEntryError:
            os._exit(7)
        os._exit(0)
    yield "child", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_of_a_task_skips_nothing(disco: Disco) -> None:
    assert pairs(run(disco, map=forks, max_bad=1)) == [("child", 7)]


@pytest.mark.parametrize("packed", [False, True])
def test_the_byte_is_that_of_the_unpacked_file_however_tasks_read_it(
    disco: Disco, tmp_path: Path, packed: bool
) -> None:
    text = "".join(f"{'x' if i % 50 == 7 else ''}{i}\n" for i in range(1000)).encode()
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(gzip.compress(text) if packed else text)
    how = {"files_per_task": 2} if packed else {"split_size": 500}

    job = run(disco, input=[f"{tmp_path}/*"], map=numbers_only, max_bad=0.02, nr_reduces=3, **how, **TOTAL)

    found = list(job.bad_entries())
    assert len(found) == 40
    assert {text[bad.offset :].split(b"\n")[0].decode() == bad.entry for bad in found} == {True}
    assert [key for key, _ in pairs(job)] == sorted(i for i in range(1000) for _ in "ab" if i % 50 != 7)


def numbers_only(e: str, params: Any) -> list[tuple[int, int]]:
    return [(int(e), 1)]


TOTAL: dict[str, Any] = {"reduce": func.nop_reduce, "partition": func.total_order}


def test_a_job_of_a_class_may_have_some(disco: Disco) -> None:
    class Clean(Job):
        max_bad = 8
        map = staticmethod(numbers)

    job = Clean.submit(disco, INPUT)
    job.wait(timeout=30)

    assert len(list(job.bad_entries())) == 8
    assert job.jobspec()["max_bad"] == 8


def test_a_local_run_dies_of_the_same_words(disco: Disco) -> None:
    on_cluster = death(disco, input=INPUT, max_bad=7, scheduler={"max_cores": 1}, **JOB)
    with pytest.raises(Exception, match="bad entries") as caught:
        local.run("small", INPUT, max_bad=7, **JOB)

    words = [text[text.index("BadEntryError") :] for text in (on_cluster, str(caught.value))]
    assert words[0] == words[1]
