"""``reuse``: maps that an earlier job has done with the same code, params and input are not run again."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, Params, func, result_iterator
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, put, this_name, this_partition
from tests.cluster.small_jobs import PATIENCE_S

SCALE = 1


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    put(f"line:{line.replace(' ', '_')}", line)
    counter("lines")
    for word in line.split():
        yield word, SCALE


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    for word, ones in kvgroup(pairs):
        counter("words")
        yield word, sum(ones)


def files(directory: Path, *lines: str) -> list[str]:
    """A file for each line."""
    directory.mkdir(exist_ok=True)
    for i, line in enumerate(lines):
        (directory / f"{i:02}").write_text(line)
    return [str(directory / f"{i:02}") for i in range(len(lines))]


def submit(disco: Disco, inputs: list[Any], **arguments: Any) -> Job:
    options: dict[str, Any] = {"map": map_words, "reduce": reduce_words, "sort": True, "reuse": True}
    job = disco.new_job("daily", inputs, **options | arguments)
    job.wait(timeout=PATIENCE_S)
    return job


def assert_right(job: Job, *lines: str) -> None:
    assert dict(result_iterator(job.wait())) == Counter(" ".join(lines).split())
    assert sorted(job.oob_list()) == sorted(f"line:{line.replace(' ', '_')}" for line in lines)
    assert job.jobinfo()["counters"] == {"lines": len(lines), "words": len(set(" ".join(lines).split()))}


def test_only_new_files_are_mapped(disco: Disco, tmp_path: Path) -> None:
    lines = ["a b", "b c", "c d e", "e f"]
    first = submit(disco, files(tmp_path, *lines[:3]), reuse=False)

    job = submit(disco, files_there(tmp_path) + files_more(tmp_path, lines[3]))

    assert_right(job, *lines)
    assert job.jobinfo()["reused"] == 3
    assert job.jobinfo()["redi"][2] == first.jobinfo()["redi"][2]
    said = [message for _, (_, _, message) in job.events()]
    assert f"3 maps of {first.name} are reused" in said
    assert "1 map is run: no earlier job has done it with this code and input" in said
    assert job.jobinfo()["reuse"] == {"no earlier job has done it with this code and input": 1}
    again = submit(disco, files_there(tmp_path))
    assert_right(again, *lines)
    assert again.jobinfo()["reused"] == 4


def files_there(directory: Path) -> list[str]:
    return sorted(map(str, directory.iterdir()))


def files_more(directory: Path, line: str) -> list[str]:
    path = directory / f"{len(list(directory.iterdir())):02}"
    path.write_text(line)
    return [str(path)]


def test_maps_count_whatever_their_place_is_now(disco: Disco, tmp_path: Path) -> None:
    inputs = files(tmp_path, "a", "b", "c", "d")
    submit(disco, inputs)

    job = submit(disco, [inputs[3], inputs[1], *files_more(tmp_path, "e"), inputs[0]])

    assert_right(job, "d", "b", "e", "a")
    assert job.jobinfo()["reused"] == 3


def test_one_input_twice_is_two_maps(disco: Disco, tmp_path: Path) -> None:
    def plain(line: str, params: Any) -> Iterator[tuple[str, int]]:
        yield line, 1

    inputs = files(tmp_path, "a")
    submit(disco, inputs, map=plain)

    job = submit(disco, inputs * 2, map=plain)

    assert dict(result_iterator(job.wait())) == {"a": 2}
    assert job.jobinfo()["reused"] == 1
    assert submit(disco, inputs * 2, map=plain).jobinfo()["reused"] == 2


def rewritten(path: str) -> None:
    Path(path).write_text("A")


def replaced(path: str) -> None:
    then = Path(path).stat()
    other = Path(path + ".new")
    other.write_text("a")
    os.utime(other, ns=(then.st_atime_ns, then.st_mtime_ns))
    other.replace(path)


def grown(path: str) -> None:
    with open(path, "a") as file:
        file.write("\nb")


@pytest.mark.parametrize("change", [rewritten, replaced, grown])
def test_a_file_that_is_another_now_is_read(disco: Disco, tmp_path: Path, change: Any) -> None:
    inputs = files(tmp_path, "a", "b")
    submit(disco, inputs, map=lambda line, params: [(line, 1)])
    change(inputs[0])

    job = submit(disco, inputs, map=lambda line, params: [(line, 1)])

    assert dict(result_iterator(job.wait())) == Counter("".join(map(_text, inputs)).replace("\n", ""))
    assert job.jobinfo()["reused"] == 1


def _text(path: str) -> str:
    return Path(path).read_text()


CHANGES: dict[str, dict[str, Any]] = {
    "params": {"params": Params(n=1)},
    "map": {"map": lambda line, params: [(line, 1)]},
    "sort": {"sort": False, "reduce": func.nop_reduce},
    "combiner": {"combiner": func.sum_combiner},
    "partition": {"partition": lambda key, nr, params: 0},
    "nr_reduces": {"nr_reduces": 3},
    "reader": {"map_reader": lambda fd, size, name: [name[-4:].replace("/", "_")]},
}


@pytest.mark.parametrize("what", CHANGES)
def test_jobs_that_differ_do_not_share(disco: Disco, tmp_path: Path, what: str) -> None:
    inputs = files(tmp_path, f"{what} b", f"{what} c")
    submit(disco, inputs)

    assert submit(disco, inputs, **CHANGES[what]).jobinfo()["reused"] == 0
    assert submit(disco, inputs, **CHANGES[what]).jobinfo()["reused"] == 2


def test_what_reads_its_number_is_reused_at_its_place_only(disco: Disco, tmp_path: Path) -> None:
    def numbered(line: str, params: Any) -> Iterator[tuple[str, int]]:
        put(f"map:{this_partition()}", line)
        yield line, this_partition()

    inputs = files(tmp_path, "a", "b", "c")
    submit(disco, inputs, map=numbered)

    job = submit(disco, [inputs[0], inputs[2], inputs[1]], map=numbered)

    assert dict(result_iterator(job.wait())) == {"a": 0, "c": 1, "b": 2}
    assert job.jobinfo()["reused"] == 1
    assert job.oob_get("map:1") == "c"


def test_what_cannot_be_told_is_run_and_said(disco: Disco, tmp_path: Path) -> None:
    def named(line: str, params: Any) -> Iterator[tuple[str, str]]:
        yield line, this_name()

    inputs = files(tmp_path, "a")
    for _ in range(2):
        job = submit(disco, inputs, map=named, reduce=None)

    assert job.jobinfo()["reused"] == 0
    assert list(job.jobinfo()["reuse"]) == ["the code uses this_name, so that its output is the job's own"]


def test_a_job_whose_maps_are_all_known_is_ready_at_once(disco: Disco, tmp_path: Path) -> None:
    inputs = files(tmp_path, "a", "b")
    first = submit(disco, inputs, reduce=None, sort=False)

    job = submit(disco, inputs, reduce=None, sort=False)

    assert sorted(result_iterator(job.wait(timeout=1))) == [("a", 1), ("b", 1)]
    assert job.jobinfo()["reused"] == 2
    first.purge()
    assert sorted(result_iterator(job.wait(timeout=1))) == [("a", 1), ("b", 1)]
    job.purge()
    redis: Any = disco.session.connection.redis
    assert not [key for key in redis.keys("disco:*") if first.name.encode() in key]


def test_results_in_total_order_are_so_again(disco: Disco, tmp_path: Path) -> None:
    def numbers(line: str, params: Any) -> Iterator[tuple[int, int]]:
        yield from ((int(number), 1) for number in line.split())

    lines = [" ".join(str(i * 7 + j * 31) for j in range(50)) for i in range(6)]
    options: dict[str, Any] = {"map": numbers, "reduce": func.nop_reduce, "partition": func.total_order}
    submit(disco, files(tmp_path, *lines[:5]), nr_reduces=3, **options)

    job = submit(
        disco, files(tmp_path / "more", *lines[5:]) + sorted(map(str, tmp_path.glob("0?"))), **options
    )

    found = [key for key, _ in result_iterator(job.wait())]
    assert found == sorted(int(number) for number in " ".join(lines).split())
    assert job.jobinfo()["reused"] == 5


def test_what_a_retry_has_kept_of_other_code_is_not_reused(disco: Disco, tmp_path: Path) -> None:
    def fails(line: str, params: Any) -> Iterator[tuple[str, int]]:
        if line == "b":
            raise ValueError
        yield line, 1

    def mended(line: str, params: Any) -> Iterator[tuple[str, int]]:
        yield line, 2

    inputs = files(tmp_path, "a", "b")
    first = disco.new_job("daily", inputs, map=fails, scheduler={"max_cores": 1})
    while first.results(timeout=5)[0] == "active":
        pass
    first.retry(map=mended).wait(timeout=PATIENCE_S)

    job = submit(disco, inputs, map=mended, reduce=None, sort=False)

    assert sorted(result_iterator(job.wait())) == [("a", 2), ("b", 2)]
    assert job.jobinfo()["reused"] == 1


def test_an_output_that_is_gone_is_made_again(disco: Disco, tmp_path: Path) -> None:
    inputs = files(tmp_path, "a", "b", "c")
    first = submit(disco, inputs)
    outputs = disco.session.store.outputs(first.name)
    for address in (address for task, address in outputs.items() if task.phase == "map"):
        path = disco.session.locator.path(address)
        assert path is not None
        path.unlink()

    job = submit(disco, inputs, max_failures=0)

    assert_right(job, "a", "b", "c")
    assert job.jobinfo()["reused"] == 3


def lines(line: str, params: Any) -> Iterator[tuple[str, int]]:
    yield line, 1


def test_an_output_that_two_jobs_have_stands_for_one_map(disco: Disco, tmp_path: Path) -> None:
    one, other = files(tmp_path, "a", "b")
    submit(disco, [one, other], map=lines, reduce=None, sort=False)
    submit(disco, [other, one], map=lines, reduce=None, sort=False)

    job = submit(disco, [other] * 3, map=lines, reduce=None, sort=False)

    assert list(result_iterator(job.wait())) == [("b", 1)] * 3
    assert job.jobinfo()["reused"] == 1


def test_a_result_that_its_job_has_saved_is_not_reused(disco: Disco, tmp_path: Path) -> None:
    inputs = files(tmp_path / "in", "a", "b")
    options: dict[str, Any] = {"map": lines, "reduce": None, "sort": False}
    submit(disco, inputs, save=str(tmp_path / "saved"), **options)

    job = submit(disco, inputs, **options)

    assert list(result_iterator(job.wait())) == [("a", 1), ("b", 1)]
    assert job.jobinfo()["reused"] == 0


def test_a_counter_beyond_64_bits_is_told_of_maps_that_are_reused_too(disco: Disco, tmp_path: Path) -> None:
    def much(line: str, params: Any) -> Iterator[tuple[str, int]]:
        counter("much", 2**62)
        yield line, 1

    one, other = files(tmp_path, "a", "b")
    submit(disco, [one], map=much)
    submit(disco, [other], map=much)

    job = submit(disco, [one, other], map=much)

    assert job.jobinfo()["reused"] == 2
    assert job.jobinfo()["counters"]["much"] == 2**62
    [told] = [text for _, (_, _, text) in job.events() if "64 bits" in text]
    assert told.startswith(f"Counter much would leave the range of 64 bits: {2**62} of daily@")
