"""Results that are saved: every format, what is refused, and exactly one file a task, whoever dies when."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from disco_rq import Disco, Job, Params, result_iterator
from disco_rq.attempt import files as taskfiles
from disco_rq.errors import DataError, JobArgumentError
from disco_rq.model import JobSpec, TaskId
from disco_rq.runtime import this_host
from disco_rq.saving import final_address, publish, settle, upload
from disco_rq.worker import commits
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import death, pairs, run, wait_for_file
from tests.nodes import NodeCluster
from tests.unit.saving.test_formats import record_file

PAIRS_FORMATS = ["msgpack", "jsonl", "text", "parquet"]


def words(line: str, params: Any) -> list[tuple[str, str]]:
    return [(word, line) for word in line.split()]


def as_they_are(entries: Any, params: Any) -> Any:
    return iter(entries)


def names(directory: Path | str) -> list[str]:
    """All files of a directory, hidden ones too."""
    return sorted(path.name for path in Path(directory).iterdir())


# -- whole jobs


@pytest.mark.parametrize(
    ("format", "extension"),
    [
        *[("msgpack", "disco"), ("jsonl", "jsonl"), ("text", "txt"), ("csv", "csv"), ("parquet", "parquet")],
        *[("jsonl.gz", "jsonl.gz"), ("text.zst", "txt.zst"), ("csv.gz", "csv.gz")],
    ],
)
def test_each_reduce_saves_one_file_that_outlives_the_job(
    disco: Disco, tmp_path: Path, format: str, extension: str
) -> None:
    job = disco.new_job(
        "saved",
        ["raw://a b a", "raw://b c"],
        map=words,
        reduce=as_they_are,
        nr_reduces=2,
        save=str(tmp_path),
        save_format=format,
    )
    addresses = job.wait(timeout=30)

    directory = tmp_path / job.name
    expected = [f"part-0000{i}.{extension}" for i in range(2)]
    assert addresses == [str(directory / name) for name in expected]
    assert job.results() == ("ready", addresses)
    assert job.jobinfo()["results"] == addresses
    answer = sorted(result_iterator(addresses))
    assert answer == [("a", "a b a"), ("a", "a b a"), ("b", "a b a"), ("b", "b c"), ("c", "b c")]
    job.purge()
    assert names(directory) == expected
    assert names(tmp_path) == [job.name]
    assert sorted(result_iterator(list(addresses))) == answer


def test_msgpack_and_a_file_address_are_what_nobody_has_to_say(disco: Disco, tmp_path: Path) -> None:
    """The maps of a job without a reduce save; every type comes back."""
    values = [None, True, 1 << 90, 1.5, "\udcff", b"\0", [1, (2,)], {1: {2}}, frozenset("a")]

    job = run(disco, map=lambda entry, params: list(enumerate(values)), save=f"file://{tmp_path}/new/")
    [address] = job.wait()

    assert address == f"file://{tmp_path}/new/{job.name}/part-00000.disco"
    assert list(result_iterator([address])) == list(enumerate(values))


def write_upper(fd: Any, key: Any, value: Any, params: Any) -> None:
    fd.write(f"{key}={value};".upper().encode())


def test_what_a_writer_of_the_jobs_own_wrote_is_compressed_if_that_is_asked(
    disco: Disco, tmp_path: Path
) -> None:
    job = run(
        disco, input=["raw://x"], map=words, map_writer=write_upper, save=tmp_path, save_format="raw.gz"
    )
    [address] = job.wait()

    assert Path(address).name == "part-00000.bin.gz"
    assert list(result_iterator([address], reader=lambda fd, size, name: [fd.read()])) == [b"X=X;"]


@pytest.mark.parametrize("phase", ["map", "reduce"])
def test_what_a_writer_of_the_jobs_own_wrote_is_saved_as_it_is(
    disco: Disco, tmp_path: Path, phase: str
) -> None:
    arguments: dict[str, Any] = (
        {"map_writer": write_upper} if phase == "map" else {"reduce_writer": write_upper}
    )
    if phase == "reduce":
        arguments["reduce"] = as_they_are
    job = run(disco, input=["raw://x"], map=words, save=str(tmp_path), **arguments)
    [address] = job.wait()

    assert Path(address).name == "part-00000.bin"
    assert Path(address).read_bytes() == b"X=X;"
    assert list(result_iterator([address], reader=lambda fd, size, name: iter([(size, fd.read())]))) == [
        (4, b"X=X;")
    ]
    with pytest.raises(DataError, match="it takes a reader"):
        list(result_iterator([address]))


def test_saved_results_are_the_input_of_another_job(disco: Disco, tmp_path: Path) -> None:
    from disco_rq.func import chain_reader

    first = run(disco, input=["raw://b a"], map=words, save=tmp_path)
    second = run(disco, input=first.wait(), map=lambda pair, params: [(pair[0], 1)], map_reader=chain_reader)

    assert pairs(second) == [("b", 1), ("a", 1)]


def test_a_job_without_input_saves_nothing(disco: Disco, tmp_path: Path) -> None:
    assert run(disco, input=[], map=words, save=tmp_path).wait() == []


def test_a_type_that_the_format_does_not_hold_ends_the_job_by_name(disco: Disco, tmp_path: Path) -> None:
    def with_bytes(entry: str, params: Any) -> list[tuple[str, bytes]]:
        return [(entry, b"")]

    told = death(disco, map=with_bytes, save=tmp_path, save_format="jsonl")

    assert "RecordTypeError: jsonl does not hold a value with the type bytes" in told
    assert "Traceback" not in told
    [job] = names(tmp_path) or [""]
    assert not job or names(tmp_path / job) == []


def make_it_a_file(entry: str, params: Any) -> list[tuple[str, int]]:
    shutil.rmtree(params.directory)
    Path(params.directory).touch()
    return [("a", 1)]


def test_a_directory_that_cannot_be_written_any_more_is_named(disco: Disco, tmp_path: Path) -> None:
    target = tmp_path / "target"

    told = death(disco, map=make_it_a_file, params=Params(directory=target), save=target, max_failures=0)

    assert f"cannot save to {target}/small@" in told
    assert "Traceback" not in told


# -- what is refused at submit


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"save": 3}, "save=3: it takes a directory"),
        ({"save": " "}, "save=' ': it takes a directory"),
        ({"save": "http://host/dir"}, "save='http://host/dir': results cannot be saved there"),
        ({"save": "memory://dir"}, "save='memory://dir': results cannot be saved there"),
        ({"save": "zip://a::file:///a.zip"}, "results cannot be saved there"),
        (
            {"save": "nope://me:secret@x"},
            "save='nope://me:***@x': cannot be written to: no such scheme: nope",
        ),
        ({"save": "gs://bucket"}, "cannot be written to: gs:// needs gcsfs: pip install gcsfs"),
        ({"save": "/dev/null/dir"}, "save='/dev/null/dir': cannot be written to: Not a directory"),
        ({"save_format": "jsonl"}, "save_format='jsonl': there is no save"),
        (
            {"save": ".", "save_format": "jsonl.xz"},
            "save_format='jsonl.xz' (jsonl.gz?): it takes one of msgpack, jsonl, text, csv, parquet, raw; "
            "jsonl, text, csv, raw also with .gz or .zst behind",
        ),
        ({"save": ".", "save_format": "raw.gz"}, "save_format='raw.gz': that is for results with a writer"),
        ({"save": ".", "save_format": "parquet.gz"}, "save_format='parquet.gz' (parquet?): it takes one of"),
        ({"save": ".", "save_format": "raw"}, "save_format='raw': that is for results with a writer"),
        (
            {"save": ".", "save_format": "text", "map_writer": write_upper},
            "save_format='text': the job's map_writer decides",
        ),
    ],
)
def test_refused_before_anything_is_queued(
    disco: Disco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    before = disco.joblist()

    with pytest.raises(JobArgumentError) as caught:
        disco.new_job("refused", ["raw://a"], map=words, **arguments)

    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert disco.joblist() == before
    assert names(tmp_path) == []


def test_parquet_without_pyarrow_is_refused_with_the_pip_command(
    disco: Disco, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("disco_rq.saving.target.has_parquet", lambda: False)
    with pytest.raises(JobArgumentError, match=r"needs pyarrow: pip install 'disco-rq\[parquet\]'"):
        disco.new_job("refused", ["raw://a"], map=words, save=tmp_path, save_format="parquet")


# -- exactly one file a task


def dies_once(entry: str, params: Any) -> Iterator[tuple[str, str]]:
    """The first attempt is killed when its file is uploaded, or when it is committed."""
    try:
        Path(params.directory, "died").touch(exist_ok=False)
    except FileExistsError:
        yield entry, "second"
        return
    module = taskfiles if params.dies_in == "upload" else commits
    before = getattr(module, params.dies_in)

    def killed(*arguments: Any, **options: Any) -> None:
        if params.dies_in == "upload":
            before(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, params.dies_in, killed)
    yield entry, "first"


@pytest.mark.parametrize(("dies_in", "counts"), [("upload", "second"), ("publish", "first")])
def test_the_commit_decides_which_file_it_is(disco: Disco, tmp_path: Path, dies_in: str, counts: str) -> None:
    """Killed between upload and commit: the other attempt's. Between commit and publication: its own."""
    params = Params(directory=str(tmp_path), dies_in=dies_in)
    job = run(disco, map=dies_once, params=params, save=tmp_path / "out", save_format="jsonl")

    assert pairs(job) == [("entry", counts)]
    assert names(tmp_path / "out" / job.name) == ["part-00000.jsonl"]
    assert len(job.story("map:0")) == (2 if counts == "second" else 1)


def test_a_file_has_its_name_though_nobody_asks_for_it(disco: Disco, tmp_path: Path) -> None:
    job = disco.new_job("saved", ["raw://a"], map=words, save=tmp_path)

    wait_until(lambda: (tmp_path / job.name).exists() and names(tmp_path / job.name) == ["part-00000.disco"])


@pytest.mark.parametrize("ending", [Job.clean, Job.purge])
def test_a_committed_file_has_its_name_before_the_job_is_forgotten(
    disco: Disco, tmp_path: Path, ending: Any
) -> None:
    params = Params(directory=str(tmp_path), dies_in="publish")
    job = disco.new_job("saved", ["raw://entry"], map=dies_once, params=params, save=tmp_path / "out")
    wait_until(lambda: job.jobinfo()["active"] == "ready")

    ending(job)

    assert names(tmp_path / "out" / job.name) == ["part-00000.disco"]


def late_once(entry: str, params: Any) -> Iterator[tuple[str, str]]:
    """The first attempt waits between upload and commit, until the test lets it go on."""
    directory = Path(params.directory)
    try:
        (directory / "late").touch(exist_ok=False)
    except FileExistsError:
        yield entry, "second"
        return
    upload, discard = vars(taskfiles)["upload"], vars(commits)["discard"]

    def waiting(*arguments: Any, **options: Any) -> str:
        address: str = upload(*arguments, **options)
        (directory / f"uploaded,{this_host()},{os.getpid()}").touch()
        wait_for_file(str(directory / "go-on"))
        return address

    def told(address: str) -> None:
        discard(address)
        (directory / "discarded").touch()

    vars(taskfiles).update(upload=waiting)
    vars(commits).update(discard=told)
    yield entry, "first"


def test_an_attempt_that_comes_back_late_changes_nothing(tmp_path: Path) -> None:
    with NodeCluster() as cluster:
        cluster.master()
        for node in ("a", "b"):
            cluster.node(node)
        cluster.wait_ready()
        job = cluster.disco.new_job(
            "late",
            ["raw://entry"],
            map=late_once,
            params=Params(directory=str(tmp_path)),
            save=tmp_path / "out",
            save_format="text",
        )
        [found] = wait_until(lambda: list(tmp_path.glob("uploaded,*")))
        _, node, pid = found.name.split(",")
        cluster.nodes[node].stop()
        saved = tmp_path / "out" / job.name
        wait_until(lambda: "part-00000.txt" in names(saved), timeout_s=40)
        assert len(names(saved)) == 2, "the late attempt's file is there, under a hidden name"

        (tmp_path / "go-on").touch()
        cluster.nodes[node].go_on()
        wait_until(lambda: (tmp_path / "discarded").exists() or not psutil.pid_exists(int(pid)))

        assert (saved / "part-00000.txt").read_text() == "entry\tsecond\n"
        if (tmp_path / "discarded").exists():  # it was not killed for being late
            assert names(saved) == ["part-00000.txt"]
        assert list(result_iterator(job.wait())) == [("entry", "second")]
        assert names(saved) == ["part-00000.txt"]


def test_publishing_may_be_done_by_everybody_at_any_time(tmp_path: Path) -> None:
    """Of two attempts one counts; files that their owner has deleted are no error."""
    records = record_file(tmp_path, [("k", "v")])
    spec = JobSpec(
        "j@20260101-000000-abcd", 1, 0, True, False, save=str(tmp_path / "out"), save_format="text"
    )
    loser, winner = (upload(spec, TaskId("map", 0), 1, records, tmp_path) for _ in range(2))
    assert final_address(loser) == final_address(winner)
    assert not any(name.startswith("part") for name in names(tmp_path / "out" / spec.name))

    publish(winner)
    publish(winner)
    settle([winner])

    assert names(tmp_path / "out" / spec.name) == ["part-00000.txt"]
    shutil.rmtree(tmp_path / "out")
    settle([winner])
    publish(winner)
