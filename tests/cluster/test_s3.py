"""S3: inputs of every kind, results that are saved there, and what goes wrong, on a real server."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Params, result_iterator
from disco_rq.attempt import files as taskfiles
from disco_rq.errors import DataError, JobArgumentError
from disco_rq.inputs import open_input, plan_inputs
from disco_rq.model import Input
from disco_rq.runtime import this_inputs
from disco_rq.worker import commits
from tests.cluster.s3server import S3Server
from tests.cluster.small_jobs import death, pairs, run, wait_for_file

LINES = [f"line {i}" for i in range(20_000)]
TEXT = "".join(f"{line}\n" for line in LINES).encode()


@pytest.fixture(scope="module")
def disco(s3: S3Server) -> Iterator[Disco]:
    """A cluster that knows the server."""
    with Disco(workers=2) as cluster:
        yield cluster


def lines(line: str, params: Any) -> list[tuple[str, str]]:
    return [(line, this_inputs()[0])]


def count_inputs(line: str, params: Any) -> list[tuple[str, int]]:
    return [(line, len(this_inputs()))]


# -- inputs


def test_a_file_a_glob_a_directory_and_compressed_ones(disco: Disco, s3: S3Server) -> None:
    a, b, z = s3.put({"in/a.txt": b"a\n", "in/b.txt": b"b\n", "in/z.gz": gzip.compress(b"z\n")})
    s3.put({"in/sub/c.txt": b"c\n", "in/.hidden": b"h\n"})

    def read(*input: str) -> list[Any]:
        return sorted(pairs(run(disco, input=input, map=lines)))

    assert read(a) == [("a", a)]
    assert read("s3://bucket/in/*.txt") == [("a", a), ("b", b)]
    assert read("s3://bucket/in") == read("dir://s3://bucket/in/") == [("a", a), ("b", b), ("z", z)]
    assert [line for line, _ in read("s3://bucket/in/**/*.txt")] == ["a", "b", "c"]


def test_a_big_file_is_read_in_pieces_each_line_once(disco: Disco, s3: S3Server) -> None:
    [address] = s3.put({"big/lines.txt": TEXT})

    job = run(disco, input=[address], map=lines, split_size=100_000)

    assert job.jobinfo()["mapi"][2] == -(-len(TEXT) // 100_000)
    assert [line for line, _ in pairs(job)] == LINES


def test_a_piece_asks_for_its_own_bytes_and_little_more(s3: S3Server) -> None:
    [address] = s3.put({"ranges/lines.txt": TEXT})
    plan = plan_inputs([address], line_based=True, split_size=len(TEXT) // 3)
    parts = [entry.parts[0][0] for entry in plan]
    assert len(parts) > 2

    read = []
    for part in parts:
        with open_input(part) as (fd, size):
            read.append(fd.read())
        assert size == len(read[-1])
    assert b"".join(read) == TEXT


def test_several_files_a_task_and_errors_name_the_right_one(disco: Disco, s3: S3Server) -> None:
    s3.put({f"many/{i}.txt": b"%d\n" % i for i in range(5)})

    job = run(disco, input=["s3://bucket/many/*"], map=count_inputs, files_per_task=2)
    assert sorted(pairs(job)) == [("0", 2), ("1", 2), ("2", 2), ("3", 2), ("4", 1)]

    s3.put({"many/3.txt": b"\xff" * 10, "many/3.txt.gz": b"no gzip"})
    told = death(disco, input=["s3://bucket/many/*"], map=count_inputs, files_per_task=9, max_failures=0)
    assert "cannot read s3://bucket/many/3.txt.gz: " in told


def test_a_member_of_an_archive(disco: Disco, s3: S3Server) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("a.txt", "first\nsecond\n")
    s3.put({"archive.zip": archive.getvalue()})

    job = run(disco, input=["zip://a.txt::s3://bucket/archive.zip"], map=lines)

    assert [line for line, _ in pairs(job)] == ["first", "second"]


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("s3://bucket/none.txt", "input s3://bucket/none.txt: no such file"),
        ("s3://bucket/none/*", "input s3://bucket/none/*: nothing matches"),
        ("s3://nowhere/a.txt", "input s3://nowhere/a.txt: no such file"),
    ],
)
def test_what_is_missing_is_refused_at_submit(disco: Disco, s3: S3Server, address: str, says: str) -> None:
    with pytest.raises(JobArgumentError) as caught:
        disco.new_job("missing", [address], map=lines)
    assert says in str(caught.value)


def test_a_replica_stands_in_for_one_that_is_missing(disco: Disco, s3: S3Server) -> None:
    [there] = s3.put({"replica.txt": b"there\n"})

    job = run(disco, input=[["s3://bucket/gone.txt", there]], map=lines)

    assert [line for line, _ in pairs(job)] == ["there"]


def test_a_file_that_goes_after_the_submit_is_named(disco: Disco, s3: S3Server, tmp_path: Path) -> None:
    [first, second] = s3.put({"goes/1.txt": b"1\n", "goes/2.txt": b"2\n"})

    def deletes(line: str, params: Any) -> list[Any]:
        import fsspec

        fsspec.filesystem("s3").rm_file("bucket/goes/2.txt")
        return []

    told = death(disco, input=["s3://bucket/goes/*"], map=deletes, files_per_task=2, max_failures=0)

    assert f"DataError: cannot read {second}: " in told
    assert "Traceback" not in told
    assert first not in told.splitlines()[0].partition("cannot read")[2]


def test_a_key_that_the_server_does_not_know(disco: Disco, s3: S3Server) -> None:
    """The client cannot tell whether a node may read it; what the task says names the address."""
    [address] = s3.put({"secret.txt": b"secret\n"})
    with s3.locked():
        with pytest.raises(DataError, match=f"cannot read {address}: ") as caught, open_input(Input(address)):
            pass
        assert "Access Key" in str(caught.value) or "Forbidden" in str(caught.value)
        with pytest.raises(JobArgumentError, match=r"input s3://bucket/\*.txt cannot be listed: "):
            disco.new_job("locked", ["s3://bucket/*.txt"], map=lines)
        told = death(disco, input=[address], map=lines, max_failures=0)
    assert f"cannot read {address}: " in told
    assert "Traceback" not in told


# -- results


@pytest.mark.parametrize("format", ["msgpack", "jsonl", "text.gz", "csv.zst", "parquet"])
def test_results_are_saved_and_read_back(disco: Disco, s3: S3Server, format: str) -> None:
    job = disco.new_job(
        "saved",
        ["raw://a b", "raw://c"],
        map=lambda line, params: [(word, line) for word in line.split()],
        save="s3://bucket/out/",
        save_format=format,
    )
    addresses = job.wait(timeout=30)
    job.purge()

    assert [address.rpartition("/")[0] for address in addresses] == [f"s3://bucket/out/{job.name}"] * 2
    assert s3.names(f"out/{job.name}") == [address.rpartition("/")[2] for address in addresses]
    assert list(result_iterator(list(addresses))) == [("a", "a b"), ("b", "a b"), ("c", "c")]


def test_a_large_result_is_uploaded_in_parts(disco: Disco, s3: S3Server) -> None:
    """s3fs sends up to 100 MiB at once."""
    text = "x" * (1 << 20)
    job = run(
        disco,
        map=lambda entry, params: ((i, text) for i in range(101)),
        save="s3://bucket/large",
        save_format="text",
    )
    [address] = job.wait()

    assert sum(len(value) for _, value in result_iterator([address])) == 101 << 20
    assert s3.names(f"large/{job.name}") == ["part-00000.txt"]


def dies_once(entry: str, params: Any) -> list[tuple[str, str]]:
    import os
    import signal

    try:
        Path(params.directory, "died").touch(exist_ok=False)
    except FileExistsError:
        return [(entry, "second")]
    module = taskfiles if params.dies_in == "upload" else commits
    before = getattr(module, params.dies_in)

    def killed(*arguments: Any, **options: Any) -> None:
        if params.dies_in == "upload":
            before(*arguments, **options)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(module, params.dies_in, killed)
    return [(entry, "first")]


@pytest.mark.parametrize(("dies_in", "counts"), [("upload", "second"), ("publish", "first")])
def test_the_commit_decides_here_too(
    disco: Disco,
    s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dies_in: str,
    counts: str,
) -> None:
    monkeypatch.setattr(
        "disco_rq.saving.parts.COPY_PATIENCE_S", 0.1
    )  # of who waits for a worker that is gone
    params = Params(directory=str(tmp_path), dies_in=dies_in)
    job = run(disco, map=dies_once, params=params, save="s3://bucket/dies", save_format="jsonl")

    assert pairs(job) == [("entry", counts)]
    assert s3.names(f"dies/{job.name}") == ["part-00000.jsonl"]


def test_a_bucket_that_is_not_there_is_not_made_but_refused(disco: Disco, s3: S3Server) -> None:
    for _ in range(2):
        with pytest.raises(
            JobArgumentError, match=r"save='s3://nowhere/out': cannot be written to: .*bucket"
        ):
            disco.new_job("refused", ["raw://a"], map=lines, save="s3://nowhere/out")


def test_no_permission_is_refused_at_submit(disco: Disco, s3: S3Server) -> None:
    with s3.locked(), pytest.raises(JobArgumentError, match="save='s3://bucket/out': cannot be written to: "):
        disco.new_job("refused", ["raw://a"], map=lines, save="s3://bucket/out")


def gated(entry: str, params: Any) -> list[tuple[str, int]]:
    wait_for_file(params.gate)
    return [(entry, 1)]


def test_permission_that_ends_while_the_job_runs_is_named(disco: Disco, s3: S3Server, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    job = disco.new_job(
        "locked",
        ["raw://a"],
        map=gated,
        params=Params(gate=str(gate)),
        save="s3://bucket/locked",
        max_failures=0,
    )
    with s3.locked():
        gate.touch()
        status = job.results(timeout=30)[0]
    assert status == "dead"
    assert f"cannot save to s3://bucket/locked/{job.name}/.part-00000.1-" in job.jobinfo()["cause"]["message"]
