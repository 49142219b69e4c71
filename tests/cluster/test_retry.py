"""``retry``: a dead job goes on as a new one, with what it had committed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, JobArgumentError, JobError, Params, func, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, err, get, put, this_partition
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import PATIENCE_S

MAPS, LAST = 12, 8


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """Fails at one line, when all before it are done."""
    put(f"of:{line}", line)
    counter("lines")
    if line == params.bad:
        raise ValueError(f"cannot read {line}")
    yield line, 1
    yield "all", 1


def mended_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"of:{line}", line)
    counter("lines")
    counter("run again")
    yield line, 1
    yield "all", 1


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    put(f"reduce:{this_partition()}", get("of:line0"))
    for word, ones in kvgroup(pairs):
        counter("different")
        yield word, sum(ones)


def submit(disco: Disco, **changes: Any) -> Job:
    arguments: dict[str, Any] = {
        "map": map_words,
        "reduce": reduce_words,
        "sort": True,
        "nr_reduces": 2,
        "params": Params(bad=f"line{LAST}"),
        "scheduler": {"max_cores": 1},
    }
    return disco.new_job("words", [f"raw://line{i}" for i in range(MAPS)], **arguments | changes)


def died(job: Job) -> Job:
    with pytest.raises(JobError):
        job.wait(timeout=PATIENCE_S)
    return job


def assert_right(job: Job) -> None:
    lines = [f"line{i}" for i in range(MAPS)]
    assert dict(result_iterator(job.wait(timeout=PATIENCE_S))) == {**Counter(lines), "all": MAPS}
    maps = {f"of:{line}": line for line in lines}
    reduces = {f"reduce:{i}": "line0" for i in range(2)}
    assert {key: job.oob_get(key) for key in job.oob_list()} == maps | reduces
    assert job.jobinfo()["counters"] | {"run again": 0} == {
        "lines": MAPS,
        "different": MAPS + 1,
        "run again": 0,
    }


def test_a_job_that_is_mended_keeps_what_was_done(disco: Disco) -> None:
    first = died(submit(disco))
    done = first.jobinfo()["mapi"][2]

    job = first.retry(map=mended_words)

    assert_right(job)
    info = job.jobinfo()
    assert info["kept"] == done > 0
    assert info["counters"]["run again"] == MAPS - done
    assert info["mapi"][:3] == [0, 0, MAPS]


def files_of(disco: Disco, name: str) -> list[Path]:
    """The outputs that a job has left on the cluster's nodes."""
    places = {disco.session.locator.path(one) for one in disco.session.store.outputs(name).values()}
    return sorted(path for path in places if path is not None)


def test_the_old_job_may_be_purged_while_the_new_one_needs_its_files(disco: Disco) -> None:
    first = died(submit(disco))
    files = files_of(disco, first.name)
    job = first.retry(map=mended_words)
    first.purge()

    assert_right(job)

    assert job.jobinfo()["counters"]["run again"] == MAPS - job.jobinfo()["kept"]
    assert all(path.exists() for path in files)
    job.purge()
    wait_until(lambda: not any(path.exists() for path in files))
    redis: Any = disco.session.connection.redis
    assert not [
        key for key in redis.keys("disco:*") if first.name.encode() in key or job.name.encode() in key
    ]


def test_the_files_go_with_the_old_job_where_that_is_purged_last(disco: Disco) -> None:
    first = died(submit(disco))
    files = files_of(disco, first.name)
    job = first.retry(map=mended_words)
    assert_right(job)

    job.purge()

    assert all(path.exists() for path in files)
    first.purge()
    wait_until(lambda: not any(path.exists() for path in files))


def test_what_is_gone_is_made_again(disco: Disco) -> None:
    first = died(submit(disco))
    path = files_of(disco, first.name)[0]
    job = first.retry(map=mended_words, max_failures=0)
    path.unlink()

    assert_right(job)
    assert any("is gone" in message for _, (_, _, message) in job.events())


def test_a_killed_job_goes_on_and_again_goes_on(disco: Disco) -> None:
    first = died(submit(disco))
    second = died(first.retry(max_failures=1))
    assert second.jobinfo()["kept"] == first.jobinfo()["mapi"][2]

    job = second.retry(map=mended_words)

    assert_right(job)
    assert job.jobinfo()["kept"] >= second.jobinfo()["kept"]
    first.purge()
    second.purge()
    assert dict(result_iterator(job.wait()))["all"] == MAPS


def test_both_jobs_name_each_other(disco: Disco) -> None:
    first = died(submit(disco))
    job = first.retry(map=mended_words)

    assert job.jobinfo()["retry_of"] == first.name
    assert first.jobinfo()["retried_as"] == job.name
    assert any(job.name in message for _, (_, _, message) in first.events())
    kept = job.jobinfo()["kept"]
    said = f"{kept} {'map of' if kept == 1 else 'maps of'} {first.name} {'is' if kept == 1 else 'are'} kept"
    assert said in [message for _, (_, _, message) in job.events()]


def test_only_a_dead_job_is_tried_again(disco: Disco) -> None:
    job = submit(disco, params=Params(bad=""))
    with pytest.raises(JobError, match="is active, and only a dead job"):
        job.retry()
    job.wait(timeout=PATIENCE_S)
    with pytest.raises(JobError, match="is ready, and only a dead job"):
        job.retry()
    with pytest.raises(JobArgumentError, match="maap' \\(map"):
        died(submit(disco)).retry(maap=mended_words)  # type: ignore[call-arg]


def by_length(key: Any, nr: int, params: Any) -> int:
    return len(str(key)) % nr


def by_length_otherwise(key: Any, nr: int, params: Any) -> int:
    return (len(str(key)) + 1) % nr


def by_length_in_other_words(key: Any, nr: int, params: Any) -> int:
    length = len(str(key))
    return length % nr


CHANGES: dict[str, dict[str, Any]] = {
    "sort": {"sort": False, "reduce": None},
    "partition": {"partition": by_length},
    "nr_reduces": {"nr_reduces": 3},
}


@pytest.mark.parametrize("what", CHANGES)
def test_changes_that_make_outputs_unfit_run_maps_again(disco: Disco, what: str) -> None:
    first = died(submit(disco))

    job = first.retry(map=mended_words, **CHANGES[what])

    job.wait(timeout=PATIENCE_S)
    assert job.jobinfo()["kept"] == 0
    assert job.jobinfo()["counters"]["run again"] == MAPS


def test_keep_said_aloud_keeps_them_but_loses_no_partition(disco: Disco) -> None:
    first = died(submit(disco))
    assert first.retry(keep=True, sort_values=True, map=mended_words).jobinfo()["kept"] > 0
    with pytest.raises(
        JobArgumentError, match="nr_reduces=1: outputs of maps that are done have 2 partitions"
    ):
        first.retry(keep=True, nr_reduces=1)
    with pytest.raises(JobArgumentError, match="reduce=None: outputs of maps that are done"):
        first.retry(keep=True, reduce=None, sort=True, nr_reduces=2)


def test_the_same_partition_function_again_is_no_change(disco: Disco) -> None:
    first = died(submit(disco, partition=by_length))

    assert first.retry(partition=by_length, map=mended_words).jobinfo()["kept"] > 0
    assert first.retry(partition=by_length_otherwise, map=mended_words).jobinfo()["kept"] == 0


def test_with_keep_another_partition_function_is_asked_about_every_key_of_the_maps_that_are_kept(
    disco: Disco,
) -> None:
    first = died(submit(disco, partition=by_length))

    same = first.retry(keep=True, partition=by_length_in_other_words, map=mended_words)
    assert_right(same)
    assert same.jobinfo()["kept"] > 0

    other = first.retry(keep=True, partition=by_length_otherwise, map=mended_words)
    with pytest.raises(JobError, match=r"by_length_otherwise answers \d for the key .* Without keep=True"):
        other.wait(timeout=PATIENCE_S)
    with pytest.raises(JobError, match=r"by_length_otherwise answers \d for the key .* Without keep=True"):
        other.retry(params=Params(bad="")).wait(timeout=PATIENCE_S)
    with pytest.raises(JobArgumentError, match=r"partition: no reduce sees the keys"):
        first.retry(keep=True, partition=by_length_otherwise, reduce_reader=func.netstr_reader)


def test_maps_of_other_inputs_run_again_and_no_others(disco: Disco, tmp_path: Path) -> None:
    files = [tmp_path / f"{i}" for i in range(4)]
    for i, path in enumerate(files):
        path.write_text("bad" if i == 3 else f"line{i}")
    first = died(
        disco.new_job(
            "files",
            list(map(str, files)),
            map=map_words,
            params=Params(bad="bad"),
            scheduler={"max_cores": 1},
        )
    )
    files[3].write_text("line3")
    files[1].write_text("another")

    job = first.retry(input=list(map(str, files)))

    found = sorted(result_iterator(job.wait(timeout=PATIENCE_S)))
    lines = ["line0", "another", "line2", "line3"]
    assert found == sorted([*((line, 1) for line in lines), *[("all", 1)] * 4])
    assert job.jobinfo()["kept"] == 2
    assert sorted(job.oob_list()) == sorted(f"of:{line}" for line in lines)


def map_few(line: str, params: Any) -> Iterator[tuple[int, str]]:
    put(f"of:{line}", line)
    yield int(line), line


def failing_reduce(pairs: Any, params: Any) -> Iterator[tuple[Any, Any]]:
    counter("reduces")
    put(f"at:{this_partition()}", this_partition())
    yield from pairs
    if this_partition() == params.bad:
        err("no more")


def mended_reduce(pairs: Any, params: Any) -> Iterator[tuple[Any, Any]]:
    counter("reduces")
    counter("run again")
    put(f"at:{this_partition()}", this_partition())
    yield from pairs


@pytest.mark.parametrize("save", [False, True])
@pytest.mark.parametrize("partition", [None, func.total_order])
def test_reduces_that_are_done_are_kept_with_their_results(
    disco: Disco, save: bool, partition: Any, tmp_path: Path
) -> None:
    options: dict[str, Any] = {"save": str(tmp_path), "save_format": "jsonl"} if save else {}
    numbers = list(range(100))
    first = died(
        disco.new_job(
            "reduces",
            [f"raw://{number}" for number in numbers],
            map=map_few,
            reduce=failing_reduce,
            nr_reduces=4,
            sort=True,
            partition=partition,
            params=Params(bad=3),
            scheduler={"max_cores": 1},
            **options,
        )
    )
    done = first.jobinfo()["redi"][2]
    assert done

    job = first.retry(reduce=mended_reduce)

    results = job.wait(timeout=PATIENCE_S)
    found = [key for key, _ in result_iterator(results)]
    assert sorted(found) == numbers
    if partition is not None:
        assert found == numbers
    info = job.jobinfo()
    assert info["kept"] == 100 + done
    assert info["counters"] == {"reduces": 4, "run again": 4 - done}
    assert {key for key in job.oob_list() if key.startswith("at:")} == {f"at:{i}" for i in range(4)}
    if save:
        assert all(address.startswith(f"{tmp_path}/{job.name}/") for address in results)
        first.purge()
        assert sorted(path.name for path in (tmp_path / job.name).iterdir()) == [
            f"part-{i:05d}.jsonl" for i in range(4)
        ]


def map_numbers(line: str, params: Any) -> Iterator[tuple[int, int]]:
    yield int(line), 1


def test_bad_entries_of_what_is_kept_count_and_are_told(disco: Disco) -> None:
    inputs = [f"raw://{i}\nbad{i}" for i in range(8)]
    first = died(disco.new_job("bad", inputs, map=map_numbers, max_bad=3, scheduler={"max_cores": 1}))
    kept = [one for one in first.bad_entries() if int(one.task[4:]) < 3]

    job = first.retry(max_bad=8)
    assert len(list(result_iterator(job.wait(timeout=PATIENCE_S)))) == 8
    first.purge()

    assert job.jobinfo()["bad"] == 8
    assert job.jobinfo()["kept"] >= len(kept) > 0
    assert [one.entry for one in job.bad_entries()] == [f"bad{i}" for i in range(8)]


def test_a_job_that_allows_none_keeps_no_map_with_bad_entries(disco: Disco) -> None:
    inputs = ["raw://1", "raw://2\nbad", "raw://x\ny\nz"]
    first = died(disco.new_job("bad", inputs, map=map_numbers, max_bad=2, scheduler={"max_cores": 1}))

    job = died(first.retry(max_bad=0))

    assert job.jobinfo()["bad"] == 0
    assert "invalid literal" in job.jobinfo()["cause"]["message"]


def test_a_log_of_a_task_that_is_kept_is_there(disco: Disco) -> None:
    first = died(submit(disco, map=map_and_print))
    job = first.retry(map=mended_words)
    job.wait(timeout=PATIENCE_S)

    assert job.log("map:0") == "this is line0\n"


def map_and_print(line: str, params: Any) -> Iterator[tuple[str, int]]:
    print(f"this is {line}")
    yield from map_words(line, params)
