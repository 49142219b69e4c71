"""A ``map_init`` meets the start of its file, however files are cut and grouped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, Params, func, local, result_iterator

Run = Callable[..., Any]
NUMBERS = [f"{i}" for i in range(50)]


@pytest.fixture(params=["cluster", "local"])
def run(request: pytest.FixtureRequest, disco: Disco) -> Run:
    """Runs a job to its end, where the parameter says."""

    def ended(*args: Any, **arguments: Any) -> Any:
        job = (disco.new_job if request.param == "cluster" else local.run)("init", *args, **arguments)
        job.wait(timeout=60)
        return job

    return ended


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "one.csv"
    path.write_text("".join(f"{line}\n" for line in ["id", *NUMBERS]))
    return str(path)


def rows(job: Any) -> list[Any]:
    return sorted(result_iterator(job.wait()))


def ones(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def skip(entries: Iterator[str], params: Any) -> None:
    next(entries)


def keep_header(entries: Iterator[str], params: Any) -> None:
    params.header += next(entries)


def under_header(line: str, params: Any) -> list[tuple[str, str]]:
    return [(line, params.header)]


@pytest.mark.parametrize("split_size", [None, 40, 7, 1])
def test_a_header_that_is_skipped_costs_no_piece_a_line(run: Run, table: str, split_size: int | None) -> None:
    job = run([table], map=ones, map_init=skip, split_size=split_size)
    assert rows(job) == sorted((number, 1) for number in NUMBERS)


def test_a_header_that_is_kept_is_known_in_every_piece(run: Run, table: str) -> None:
    job = run([table], map=under_header, map_init=keep_header, params=Params(header=""), split_size=40)
    assert rows(job) == sorted((number, "id") for number in NUMBERS)


def test_each_file_of_a_task_has_the_header_and_the_params_of_its_own(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.csv").write_text(f"{name}\n7\n")
    job = run(
        [str(tmp_path)], map=under_header, map_init=keep_header, params=Params(header=""), files_per_task=3
    )
    assert rows(job) == [("7", "a"), ("7", "b"), ("7", "c")]


@pytest.mark.parametrize("init", [skip, lambda entries, params: next(entries, None)])
def test_an_empty_file_in_a_group_is_no_reason_to_read_the_next_header(
    run: Run, tmp_path: Path, init: Any
) -> None:
    for name, text in {"a": "", "b": "id\n7\n", "c": "id\n8\n"}.items():
        (tmp_path / name).write_text(text)
    arguments: dict[str, Any] = {"map": ones, "map_init": init, "files_per_task": 3}
    if init is skip:
        with pytest.raises(JobError, match="StopIteration"):
            run([str(tmp_path)], **arguments)
    else:
        assert rows(run([str(tmp_path)], **arguments)) == [("7", 1), ("8", 1)]


def test_an_init_that_takes_no_entries_is_called_once_a_task(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(f"{name}\n")

    def prepare(entries: Any, params: Any) -> None:
        params.header += "set"

    job = run([str(tmp_path)], map=under_header, map_init=prepare, params=Params(header=""), files_per_task=3)
    assert rows(job) == [("a", "set"), ("b", "set"), ("c", "set")]


def test_an_init_that_takes_more_than_the_first_piece_has_is_told_what_to_do(run: Run, table: str) -> None:
    def skip_comments(entries: Iterator[str], params: Any) -> None:
        for _ in range(10):
            next(entries)

    with pytest.raises(JobError, match=r"map_init takes more .* first piece of .*split_size=None"):
        run([table], map=ones, map_init=skip_comments, split_size=10)
    assert len(rows(run([table], map=ones, map_init=skip_comments, split_size=None))) == 41


def test_an_init_may_ask_where_it_is(run: Run, table: str) -> None:
    def skip_at_start(entries: Iterator[str], params: Any) -> None:
        if func.at_start():
            next(entries)

    assert len(rows(run([table], map=ones, map_init=skip_at_start, split_size=40))) == 50


def test_a_reader_that_skips_where_a_file_begins_does_so_for_the_init_too(run: Run, tmp_path: Path) -> None:
    def without_title(fd: Any, size: int | None, name: str) -> Iterator[str]:
        lines = func.map_line_reader(fd, size, name)
        if func.at_start():
            next(lines, None)
        return lines

    without_title.line_based = True  # type: ignore[attr-defined]
    path = tmp_path / "titled.csv"
    path.write_text("".join(f"{line}\n" for line in ["title", "id", *NUMBERS]))
    arguments = {"map": under_header, "map_init": keep_header, "map_reader": without_title}
    job = run([str(path)], params=Params(header=""), split_size=40, **arguments)
    assert rows(job) == sorted((number, "id") for number in NUMBERS)


def test_an_iterator_that_the_init_keeps_goes_on_in_the_map(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "pairs"
    path.write_text("a\n1\nb\n2\n")

    def keep(entries: Iterator[str], params: Any) -> None:
        params.entries = entries

    def two_lines(line: str, params: Any) -> list[tuple[str, str]]:
        return [(line, next(params.entries))]

    for group in (1, 2):
        job = run([str(tmp_path)], map=two_lines, map_init=keep, params=Params(), files_per_task=group)
        assert rows(job) == [("a", "1"), ("b", "2")]
