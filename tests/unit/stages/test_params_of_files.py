"""A ``map_init`` that takes entries: all that handles a file's pairs gets that file's ``params``.

The answer is that of one file in each task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import func, local, result_iterator

LINES = 10


@pytest.fixture
def files(tmp_path: Path) -> str:
    for number in range(4):
        header = f"{number}" if number < 3 else "2"  # two files have the same one
        (tmp_path / f"{number}.txt").write_text(f"{header}\n" + f"line {number}\n" * LINES)
    return f"{tmp_path}/*.txt"


def takes_header(entries: Iterator[str], params: Any) -> None:
    params["header"], params["lines"] = next(entries), 0


def takes_none(entries: Iterator[str], params: Any) -> None:
    params.update(header="none", lines=0)


def with_header(entry: str, params: Any) -> Iterator[tuple[Any, int]]:
    params["lines"] += 1
    yield (params["header"], entry), 1


def tags(key: Any, value: int, buffer: dict[Any, int], done: bool, params: Any) -> Any:
    """A combiner that looks at the params at each pair."""
    if done:
        return buffer.items()
    tagged = (*key, params["header"])
    buffer[tagged] = buffer.get(tagged, 0) + value
    return None


def total(key: Any, value: int, buffer: dict[Any, int], done: bool, params: Any) -> Any:
    """A combiner that looks at them at the end."""
    if done:
        return [(params["header"], params["lines"])] if buffer else None
    buffer["any"] = 1
    return None


def at_once(key: Any, value: int, buffer: dict[Any, int], done: bool, params: Any) -> Any:
    """A combiner that gives out on the way."""
    return None if done else [((*key, params["header"]), value)]


def tagged_line(fd: Any, key: Any, value: int, params: Any) -> None:
    fd.write(f"{params['header']} {key[0]} {value}\n".encode())


def lines(fd: Any, size: int | None, name: str) -> Iterator[tuple[str, int]]:
    for line in fd:
        tag, _, value = line.decode().rpartition(" ")
        yield tag, int(value)


def by_header(key: Any, nr_reduces: int, params: Any) -> int:
    return int(params["header"]) % nr_reduces


def results(files: str, files_per_task: int, **settings: Any) -> list[list[Any]]:
    """The pairs of each result, without their order."""
    given: dict[str, Any] = {"map": with_header, "map_init": takes_header, "reduce": func.sum_reduce}
    given.update({"nr_reduces": 3} | settings)
    job = local.run("p", [files], params={}, files_per_task=files_per_task, split_size=None, **given)
    return [sorted(result_iterator([url])) for url in job.wait()]


@pytest.mark.parametrize("files_per_task", [1, 2, 4])
@pytest.mark.parametrize("max_bad", [0, 1])
@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("combiner", [tags, at_once], ids=["at the end", "at once"])
def test_a_combiner_gets_the_params_of_the_file(
    files: str, files_per_task: int, max_bad: int, sort: bool, combiner: Any
) -> None:
    settings: dict[str, Any] = {"combiner": combiner, "nr_reduces": 1, "max_bad": max_bad, "sort": sort}
    assert results(files, files_per_task, **settings) == [
        [((header, f"line {i}", header), LINES) for i, header in enumerate(["0", "1", "2", "2"])]
    ]


@pytest.mark.parametrize("files_per_task", [1, 2, 4])
def test_a_combiner_ends_with_the_params_of_each_file(files: str, files_per_task: int) -> None:
    [found] = results(files, files_per_task, combiner=total, nr_reduces=1)
    assert found == [("0", LINES), ("1", LINES), ("2", 2 * LINES)]


@pytest.mark.parametrize("files_per_task", [1, 2, 4])
def test_a_map_writer_gets_the_params_of_the_file(files: str, files_per_task: int) -> None:
    settings = {"map_writer": tagged_line, "reduce_reader": lines, "nr_reduces": 1}
    assert results(files, files_per_task, **settings) == [
        [("0 0", LINES), ("1 1", LINES), ("2 2", 2 * LINES)]
    ]


ONE_BY_ONE: dict[str, dict[str, Any]] = {
    "plain": {},
    "sorted": {"sort": True},
    "sorted values": {"sort": True, "sort_values": True},
    "sums": {"combiner": func.sum_combiner, "sort": True},
    "a ready-made combiner": {"combiner": func.max_of_group().combiner},
    "a combiner": {"combiner": tags, "sort": True},
    "a map_writer": {"map_writer": tagged_line, "reduce_reader": lines},
}


@pytest.mark.parametrize("files_per_task", [2, 4])
@pytest.mark.parametrize("way", ONE_BY_ONE)
def test_a_partition_function_gets_the_params_of_the_file(files: str, files_per_task: int, way: str) -> None:
    settings = ONE_BY_ONE[way] | {"partition": by_header}
    alone = results(files, 1, **settings)
    assert [bool(result) for result in alone] == [True] * 3
    assert results(files, files_per_task, **settings) == alone


@pytest.mark.parametrize("files_per_task", [1, 4])
def test_a_map_alone_gives_the_combiner_the_params_of_the_file(files: str, files_per_task: int) -> None:
    given: dict[str, Any] = {"map": with_header, "map_init": takes_header, "combiner": tags, "params": {}}
    job = local.run("p", [files], files_per_task=files_per_task, nr_reduces=0, split_size=None, **given)
    assert sorted(result_iterator(job.wait())) == [
        ((header, f"line {i}", header), LINES) for i, header in enumerate(["0", "1", "2", "2"])
    ]


@pytest.mark.parametrize(("init", "ends"), [(takes_none, 1), (takes_header, 4)])
def test_files_whose_params_are_the_same_are_combined_together(
    files: str, init: Callable[..., None], ends: int
) -> None:
    ended: list[int] = []

    def count(key: Any, value: int, buffer: dict[Any, int], done: bool, params: Any) -> Any:
        ended.extend([1] if done else [])

    results(files, 4, combiner=count, map_init=init, nr_reduces=1)
    assert len(ended) == ends


def test_an_error_of_the_combiner_at_the_end_of_a_file_names_that_file(files: str) -> None:
    def fails(key: Any, value: int, buffer: dict[Any, int], done: bool, params: Any) -> Any:
        if done and params["header"] == "1":
            raise ValueError("at the end")

    with pytest.raises(Exception, match=r"(?s)at the end \(in entry 10 of .*/1\.txt\)"):
        results(files, 4, combiner=fails, max_failures=0)
