"""A task reads the file that was there at submit, as far as it went then, or says what became of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, local, result_iterator
from disco_rq.errors import DataError
from disco_rq.inputs import open_input, plan_inputs
from disco_rq.model import MapInput

Run = Callable[..., Any]
LINES = b"".join(b"%06d\n" % i for i in range(10_000))


@pytest.fixture(params=["cluster", "local"])
def run(request: pytest.FixtureRequest, disco: Disco) -> Run:
    """Runs a job to its end, where the parameter says; its rows."""

    def rows(*args: Any, **arguments: Any) -> list[Any]:
        job = (disco.new_job if request.param == "cluster" else local.run)("changed", *args, **arguments)
        return list(result_iterator(job.wait(timeout=60)))

    return rows


def ones(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, 1)]


def harm(path: Path, how: str) -> None:
    match how:
        case "shorter":
            os.truncate(path, 700)
        case "rewritten":
            path.write_bytes(LINES[::-1])
        case "rewritten, and is longer":
            path.write_bytes(LINES[::-1] * 2)
        case "rewritten, and its time is put back":
            before = path.stat()
            path.write_bytes(LINES[::-1])
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        case "replaced":
            path.rename(path.with_suffix(".1"))
            path.write_bytes(LINES)


def read(task: MapInput) -> bytes:
    with open_input(task.parts[0][0]) as (fd, _):
        return fd.read()


@pytest.mark.parametrize(
    "how",
    [
        *("shorter", "rewritten", "rewritten, and is longer"),
        *("rewritten, and its time is put back", "replaced"),
    ],
)
@pytest.mark.parametrize("split_size", [None, 10_000])
def test_what_became_another_file_since_the_submit_is_an_error_that_says_so(
    tmp_path: Path, how: str, split_size: int | None
) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(LINES)
    planned = plan_inputs([str(path)], line_based=True, split_size=split_size)
    harm(path, how)

    for task in map(MapInput.unpack, [task.pack() for task in planned]):
        with pytest.raises(DataError, match=f"access.log: it .*{how.partition(',')[0]}"):
            read(task)


@pytest.mark.parametrize("split_size", [None, 5])
@pytest.mark.parametrize("more", [b"ine 3\nline 4\n", b"ine 3\n", b"ine 3"])
def test_a_log_that_grew_is_read_to_the_end_of_the_line_that_it_had_then(
    tmp_path: Path, split_size: int | None, more: bytes
) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"line 1\nline 2\nl")
    planned = plan_inputs([str(path)], line_based=True, split_size=split_size)
    with path.open("ab") as log:
        log.write(more)

    assert b"".join(map(read, planned)).splitlines() == [b"line 1", b"line 2", b"line 3"]


def test_a_log_that_ended_with_its_line_is_read_no_further(tmp_path: Path) -> None:
    path, empty = tmp_path / "a.log", tmp_path / "empty.log"
    path.write_bytes(b"line 1\n")
    empty.write_bytes(b"")
    planned = plan_inputs([str(path), str(empty)], line_based=True)
    for log in (path, empty):
        with log.open("ab") as grown:
            grown.write(b"line 2\n")

    assert list(map(read, planned)) == [b"line 1\n", b""]


def test_a_log_that_is_cut_while_the_job_runs_is_an_error(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(LINES)

    def map(line: str, params: str) -> list[tuple[str, int]]:
        if line == "000000":
            os.truncate(params, 700)
        return [(line, 1)]

    with pytest.raises(
        JobError, match="it has become shorter"
    ):  # before the next map begins, or while it reads
        run([str(path)], map=map, params=str(path), split_size=10_000, max_failures=0)


def test_a_large_file_that_is_cut_while_it_is_read_is_an_error(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    path.write_bytes(LINES * 10)

    def map(line: str, params: str) -> list[tuple[str, int]]:
        os.truncate(params, 700)
        return [(line, 1)]

    with pytest.raises(JobError, match="become shorter"):
        run([str(path)], map=map, params=str(path), split_size=None, max_failures=0)


def test_what_the_client_could_not_read_is_told_by_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError

    path = tmp_path / "a.log"
    path.write_bytes(LINES)
    with monkeypatch.context() as context:
        context.setattr("disco_rq.inputs.identity._tail", refuse)
        [task] = plan_inputs([str(path)], line_based=True)
    assert read(task) == LINES
    harm(path, "rewritten")
    with pytest.raises(DataError, match="rewritten"):
        read(task)


def test_on_another_machine_the_size_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(LINES)
    [task] = plan_inputs([str(path)], line_based=True)
    monkeypatch.setattr("disco_rq.inputs.identity._machine", lambda: "another")
    harm(path, "replaced")
    assert read(task) == LINES
    harm(path, "shorter")
    with pytest.raises(DataError, match="shorter"):
        read(task)


@pytest.mark.parametrize("missing", [1, 3, 4, 9])
def test_replicas_that_are_gone_use_up_no_failures(run: Run, tmp_path: Path, missing: int) -> None:
    good = tmp_path / "good.txt"
    good.write_text("ok\n")
    replicas = [f"{tmp_path}/gone{i}" for i in range(missing)] + [str(good)]
    assert run([replicas], map=ones, max_failures=0) == [("ok", 1)]


class TestPaths:
    def test_two_dots_behind_a_link_are_resolved_as_the_kernel_does(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "real" / "deep").mkdir(parents=True)
        (tmp_path / "link").symlink_to(tmp_path / "real" / "deep")
        (tmp_path / "real" / "x.txt").write_text("right\n")
        for address in ("link/../x.txt", "link/.."):
            assert run([f"{tmp_path}/{address}"], map=ones) == [("right", 1)]
        (tmp_path / "x.txt").write_text("WRONG\n")
        for address in ("link/../x.txt", "link/..", "link/../*.txt"):
            assert run([f"{tmp_path}/{address}"], map=ones) == [("right", 1)]

    def test_two_colons_are_letters_of_a_name(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "a::b").mkdir()
        (tmp_path / "a::b" / "Foo::Bar.log").write_text("ok\n")
        for address in ("a::b/Foo::Bar.log", "a::b", "a::*/*"):
            for form in (f"{tmp_path}/{address}", f"file://{tmp_path}/{address}"):
                assert run([form], map=ones) == [("ok", 1)]

    def test_a_pipe_is_refused_by_its_name(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "a.log").write_text("x\n")
        os.mkfifo(tmp_path / "pipe")
        for address in (tmp_path, tmp_path / "pipe", f"{tmp_path}/*"):
            with pytest.raises(ValueError, match=f"{tmp_path}/pipe: it is a named pipe"):
                run([str(address)], map=ones)
        with pytest.raises(ValueError, match="/dev/zero: it is a device"):
            run(["/dev/zero"], map=ones)

    def test_markers_are_left_out_with_an_event_that_counts_them(self, disco: Disco, tmp_path: Path) -> None:
        for name in ("part-00000", "_SUCCESS", "_committed_123", "_metadata", ".part-00000.crc"):
            (tmp_path / name).write_text("data\n")
        for new_job in (disco.new_job, local.run):
            job = new_job("markers", [str(tmp_path)], map=ones)
            assert list(result_iterator(job.wait(timeout=60))) == [("data", 1)]
            said = [event[2] for _, event in job.events()]
            assert any("Left out of the input: 4 hidden files and markers" in text for text in said)
