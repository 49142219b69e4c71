"""Results that are saved: every format, what is refused, and exactly one file a task, whoever dies when."""

from __future__ import annotations

import datetime
import json
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
from disco_rq.errors import CorruptData, DataError, JobArgumentError, RecordTypeError
from disco_rq.model import JobSpec, TaskId
from disco_rq.records import RecordWriter
from disco_rq.records.blocks import Kind
from disco_rq.records.typed import pack_columns
from disco_rq.records.writer import EncodedBlock
from disco_rq.runtime import this_host
from disco_rq.saving import FORMATS, final_address, publish, read_saved, settle, upload
from disco_rq.worker import commits
from tests.cluster.conftest import wait_until
from tests.cluster.small_jobs import death, pairs, run, wait_for_file
from tests.nodes import NodeCluster

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
    [("msgpack", "disco"), ("jsonl", "jsonl"), ("text", "txt"), ("parquet", "parquet")],
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
            {"save": ".", "save_format": "csv"},
            "save_format='csv': it takes one of msgpack, jsonl, text, parquet",
        ),
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

    def killed(*arguments: Any) -> None:
        if params.dies_in == "upload":
            before(*arguments)
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

    def waiting(*arguments: Any) -> str:
        address: str = upload(*arguments)
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


# -- the formats


def record_file(directory: Path, pairs: list[tuple[Any, Any]]) -> Path:
    path = directory / "records"
    with RecordWriter(path) as writer:
        if pairs:
            keys, values = [key for key, _ in pairs], [value for _, value in pairs]
            writer.add(0, EncodedBlock(Kind.PAIRS, len(pairs), pack_columns(keys, values, grouped=False)))
    return path


def saved(directory: Path, format: str, pairs: list[tuple[Any, Any]]) -> Path:
    made = directory / f"part-00000{FORMATS[format].extension}"
    file = FORMATS[format].write(record_file(directory, pairs), made)
    return file if file == made else file.rename(made)


NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, 6)  # noqa: DTZ001  without a zone is a type of its own


@pytest.mark.parametrize(
    ("format", "pairs"),
    [
        *((format, []) for format in PAIRS_FORMATS),
        *((format, [("a", "1"), ("ä\r", " x ")]) for format in PAIRS_FORMATS),
        ("jsonl", [(None, True), (1 << 90, 1.5), ("\udcff\n\t", [1, {"a": None}]), ("1", -0.0)]),
        ("text", [("\udcff", "a\tb"), ("", "")]),
        ("parquet", [(1, None), (2, [1, 2]), (3, [])]),
        ("parquet", [(b"a", 1.5), (None, None), (b"", float("inf"))]),
        ("parquet", [(NOW, True), (NOW, False)]),
        ("parquet", [(i, None if i < 15_000 else "late") for i in range(25_000)]),
    ],
)
def test_what_a_format_holds_comes_back_as_it_went_in(
    tmp_path: Path, format: str, pairs: list[tuple[Any, Any]]
) -> None:
    got = list(read_saved(str(saved(tmp_path, format, pairs))))

    assert repr(got) == repr(pairs)


@pytest.mark.parametrize(
    ("format", "value", "says"),
    [
        ("jsonl", b"", "jsonl does not hold a value with the type bytes"),
        ("jsonl", (1,), "jsonl does not hold a value with the type tuple"),
        ("jsonl", [{"a": {1}}], "jsonl does not hold a value with the type set"),
        ("jsonl", NOW, "jsonl does not hold a value with the type datetime"),
        ("jsonl", {1: 2}, "the type dict with keys that are not str"),
        ("jsonl", float("nan"), "jsonl does not hold a key or value: "),
        ("text", None, "text does not hold a value with the type NoneType"),
        ("text", b"", "text does not hold a value with the type bytes"),
        ("text", "a\nb", "text does not hold a str with a newline"),
        ("parquet", (1,), "parquet does not hold the value column with the type tuple"),
        ("parquet", 1 << 90, "parquet does not hold the value column with the type int"),
        ("parquet", {1}, "parquet does not hold the value column with the type set"),
    ],
)
def test_what_a_format_does_not_hold_is_refused_by_name(
    tmp_path: Path, format: str, value: Any, says: str
) -> None:
    with pytest.raises(RecordTypeError) as caught:
        saved(tmp_path, format, [("key", value)])
    assert says in str(caught.value)


@pytest.mark.parametrize("values", [[1, 2.5], [1, True], ["a", b"a"], [None, 1] * 6000 + ["a"]])
def test_a_parquet_column_has_one_type(tmp_path: Path, values: list[Any]) -> None:
    with pytest.raises(RecordTypeError, match="parquet"):
        saved(tmp_path, "parquet", [("key", value) for value in values])


def test_a_text_key_has_no_tab(tmp_path: Path) -> None:
    with pytest.raises(RecordTypeError, match="nor a key with a tab"):
        saved(tmp_path, "text", [("a\tb", "")])


def test_others_can_read_the_lines(tmp_path: Path) -> None:
    assert json.loads(saved(tmp_path, "jsonl", [("ä", 1)]).read_text()) == {"key": "ä", "value": 1}
    assert saved(tmp_path, "text", [("ä", 1)]).read_text() == "ä\t1\n"


@pytest.mark.parametrize("format", PAIRS_FORMATS)
def test_a_saved_file_that_is_cut_is_named(tmp_path: Path, format: str) -> None:
    path = saved(tmp_path, format, [("a", "1"), ("b", "2")])
    os.truncate(path, path.stat().st_size - 1 - 3 * (format == "jsonl"))

    with pytest.raises(CorruptData) as caught:
        list(result_iterator([str(path)]))
    assert str(path) in str(caught.value)


def test_a_saved_file_that_is_gone_and_one_of_no_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read .*/part-00000.jsonl: No such file"):
        list(result_iterator([f"{tmp_path}/part-00000.jsonl"]))
    with pytest.raises(DataError, match=r"not the address of a task output, nor of a saved result \(x.csv\)"):
        list(result_iterator(["x.csv"]))


@pytest.mark.parametrize("format", ["jsonl", "text", "parquet", "msgpack"])
def test_results_are_streamed(tmp_path: Path, format: str) -> None:
    """The first pair is there before the last is read: it is not looked at, whatever it is."""
    made = saved(tmp_path, format, [(str(i), "x" * 1000) for i in range(3000)])
    found = result_iterator([str(made), str(tmp_path / "part-00001.txt")])

    assert next(found) == ("0", "x" * 1000)
    found.close()  # type: ignore[attr-defined]
