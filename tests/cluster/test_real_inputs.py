"""Real files, as users have them: the right entries or an error, on a cluster and in one process alike."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from disco_rq import Disco, JobError, func, local, result_iterator
from disco_rq.func import chain_reader, kvgroup, map_line_reader, object_reader, object_writer, sum_reduce
from disco_rq.runtime import this_input, this_offset

Run = Callable[..., Any]


@pytest.fixture(params=["cluster", "local"])
def run(request: pytest.FixtureRequest, disco: Disco) -> Run:
    """Runs a job to its end, where the parameter says."""

    def on_cluster(input: list[Any], **arguments: Any) -> Any:
        job = disco.new_job("real", input, **arguments)
        job.wait(timeout=60)
        return job

    def here(input: list[Any], **arguments: Any) -> Any:
        return local.run("real", input, **arguments)

    return on_cluster if request.param == "cluster" else here


def ones(entry: Any, params: Any) -> list[tuple[Any, int]]:
    return [(entry, 1)]


def same(pair: tuple[Any, Any], params: Any) -> list[tuple[Any, Any]]:
    return [pair]


def rows(job: Any) -> list[Any]:
    return list(result_iterator(job.wait()))


def death(run: Run, *args: Any, **arguments: Any) -> str:
    with pytest.raises(JobError) as caught:
        run(*args, **arguments)
    return str(caught.value).splitlines()[0]


def line_writer(fd: Any, key: Any, value: Any, params: Any) -> None:
    fd.write(f"{key}={value}\n".encode())


def wrapped_chain(fd: Any, size: int | None, fname: str) -> Iterator[Any]:
    for key, value in chain_reader(fd, size, fname):
        yield key, value * 10


class TestDecoders:
    def test_damage_behind_the_first_stream_is_an_error_that_names_the_file(
        self, run: Run, tmp_path: Path
    ) -> None:
        damaged = bytearray(bz2.compress(b"second\n" * 50))
        damaged[30] ^= 0xFF
        (tmp_path / "x.bz2").write_bytes(bz2.compress(b"first\n") + damaged + bz2.compress(b"third\n"))
        assert f"{tmp_path}/x.bz2" in death(run, [str(tmp_path / "x.bz2")], map=ones, max_failures=0)

    def test_long_windows_padding_and_any_name_are_read(self, run: Run, tmp_path: Path) -> None:
        how = zstandard.ZstdCompressionParameters.from_level(3, window_log=31, enable_ldm=True)
        out = zstandard.ZstdCompressor(compression_params=how).compressobj()
        (tmp_path / "RC.zst").write_bytes(out.compress(b"a\n" * 300) + out.flush())
        (tmp_path / "x.bz2").write_bytes(bz2.compress(b"b\n") + bytes(16) + bz2.compress(b"c\n"))
        (tmp_path / "access.log.gz.1").write_bytes(gzip.compress(b"d\r\n") * 2)
        (tmp_path / "plain").write_bytes(b"e\n")

        for together in (1, 4):
            job = run([str(tmp_path)], map=ones, reduce=sum_reduce, files_per_task=together)
            assert sorted(rows(job)) == [("a", 300), ("b", 1), ("c", 1), ("d", 2), ("e", 1)]

    def test_what_is_packed_under_another_name_is_not_cut(self, run: Run, tmp_path: Path) -> None:
        lines = [f"line {i}" for i in range(5000)]
        (tmp_path / "log.1").write_bytes(gzip.compress("\n".join(lines).encode()))
        job = run([str(tmp_path / "log.1")], map=ones, split_size=1000)
        assert sorted(rows(job)) == sorted((line, 1) for line in lines)


class TestText:
    def test_marks_and_line_ends_are_no_part_of_keys(self, run: Run, tmp_path: Path) -> None:
        for name, data in {"a": b"\xef\xbb\xbfid\r\n", "b": b"id\n", "c": b"\xef\xbb\xbf", "d": b""}.items():
            (tmp_path / name).write_bytes(data)
        for together in (1, 4):
            job = run([str(tmp_path)], map=ones, reduce=sum_reduce, files_per_task=together)
            assert rows(job) == [("id", 2)]

    def test_utf_16_is_refused_with_the_reader_that_reads_it(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "u.txt").write_bytes("a\r\nb\n".encode("utf-16"))
        said = death(run, [str(tmp_path / "u.txt")], map=ones)
        assert f'{tmp_path}/u.txt is UTF-16 text: map_reader=func.text_reader("utf-16")' in said
        job = run([str(tmp_path / "u.txt")], map=ones, map_reader=func.text_reader("utf-16"))
        assert rows(job) == [("a", 1), ("b", 1)]


class TestResultsAsInputs:
    def test_typed_pairs_without_chain_reader_are_refused_with_it(self, run: Run) -> None:
        first = run(["raw://a b", "raw://b"], map=lambda e, p: [(w, 1) for w in e.split()], reduce=sum_reduce)
        assert "func.chain_reader" in death(run, first.wait(), map=ones)

    @pytest.mark.parametrize("reader", [wrapped_chain, lambda fd, size, name: wrapped_chain(fd, size, name)])
    def test_a_reader_that_calls_chain_reader_is_as_good(self, run: Run, reader: Any) -> None:
        results = run(["raw://a"], map=ones).wait()
        assert list(result_iterator(results, reader=reader)) == [("a", 10)]
        assert rows(run(results, map=same, map_reader=reader)) == [("a", 10)]
        assert rows(run(results, reduce=sum_reduce, reduce_reader=reader)) == [("a", 10)]
        job = run(["raw://a"], map=ones, reduce=sum_reduce, reduce_reader=reader)
        assert rows(job) == [("a", 10)]

    def test_bytes_of_a_writer_of_the_jobs_own_are_read_as_it_wrote_them(self, run: Run) -> None:
        mapped = run(["raw://a", "raw://b"], map=ones, map_writer=line_writer).wait()
        assert sorted(rows(run(mapped, map=ones))) == [("a=1", 1), ("b=1", 1)]
        reduced = run(["raw://a"], map=ones, reduce=sum_reduce, reduce_writer=line_writer).wait()
        assert rows(run(reduced, map=ones)) == [("a=1", 1)]

    def test_pickled_pairs_are_read_by_object_reader(self, run: Run) -> None:
        first = run(["raw://a"], map=lambda e, p: [(e, {1, 2})], map_writer=object_writer).wait()
        assert rows(run(first, map=same, map_reader=object_reader)) == [("a", {1, 2})]

    def test_saved_results_are_read_alike(self, run: Run, tmp_path: Path) -> None:
        saved = run(["raw://a"], map=ones, save=str(tmp_path / "typed")).wait()
        assert "func.chain_reader" in death(run, saved, map=ones)
        assert rows(run(saved, map=same, map_reader=wrapped_chain)) == [("a", 10)]
        assert rows(run(saved, reduce=sum_reduce)) == [("a", 1)]
        assert list(result_iterator(saved)) == [("a", 1)]

    def test_a_list_among_results_names_replicas(self, run: Run, tmp_path: Path) -> None:
        [there] = run(["raw://a"], map=ones, save=str(tmp_path / "typed")).wait()
        assert list(result_iterator([[f"{tmp_path}/gone.disco", there]])) == [("a", 1)]


def told(entry: str, params: Any) -> list[tuple[str, Any]]:
    assert this_input() is not None
    return [(entry, (str(this_input()).rpartition("/")[2], this_offset(), func.at_start()))]


def nowhere(pairs: Any, params: Any) -> Iterator[Any]:
    assert (this_input(), this_offset()) == (None, 0)
    for key, values in kvgroup(pairs):
        yield key, list(values)


def skip_header(entries: Iterator[str], params: Any) -> None:
    if func.at_start():
        next(entries, None)


def without_header(fd: Any, size: int | None, name: str) -> Iterator[str]:
    lines = map_line_reader(fd, size, name)
    if func.at_start():
        next(lines, None)
    return lines


without_header.line_based = True  # type: ignore[attr-defined]


class TestWhereAmI:
    def test_each_piece_knows_where_it_begins(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "one").write_text("aaaa\nbbbb\ncccc\n")
        job = run([str(tmp_path / "one")], map=told, reduce=nowhere, split_size=6, sort=True)
        assert sorted(rows(job)) == [
            ("aaaa", [("one", 0, True)]),
            ("bbbb", [("one", 5, False)]),
            ("cccc", [("one", 10, False)]),
        ]

    def test_files_of_one_task_are_told_apart(self, run: Run, tmp_path: Path) -> None:
        for name in ("a", "b"):
            (tmp_path / name).write_text(f"{name}\n")
        (tmp_path / "c").write_bytes(gzip.compress(b"c\n"))
        job = run([str(tmp_path)], map=told, files_per_task=3)
        assert rows(job) == [(name, (name, 0, True)) for name in "abc"]

    def test_a_header_is_skipped_once_however_the_file_is_cut(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "one.csv"
        path.write_text("id\n" + "".join(f"{i}\n" for i in range(50)))
        for size in (None, 40, 1):
            for how in ({"map_init": skip_header}, {"map_reader": without_header}):
                job = run([str(path)], map=ones, split_size=size, **how)
                assert sorted(rows(job)) == sorted((str(i), 1) for i in range(50))

    def test_a_header_is_skipped_in_every_file_of_a_task(self, run: Run, tmp_path: Path) -> None:
        for i in range(3):
            (tmp_path / f"{i}.csv").write_text("id\n7\n")
        job = run([str(tmp_path)], map=ones, map_reader=without_header, files_per_task=3)
        assert rows(job) == [("7", 1)] * 3

    def test_an_error_names_the_byte_from_which_it_counts(self, run: Run, tmp_path: Path) -> None:
        path = tmp_path / "lines"
        path.write_text("".join(f"line {i}\n" for i in range(10)))

        def fail(entry: str, params: Any) -> None:
            if entry == "line 7":
                raise ValueError("bad")

        said = death(run, [str(path)], map=fail, split_size=35)
        assert f"in entry 3 of {path}, counted from byte 35 (tail -c +36)" in said
        lines = path.read_bytes()[35:].splitlines()
        assert lines[3 - 1] == b"line 7"
