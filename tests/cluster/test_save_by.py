"""``save_by``: where each pair goes, exactly once, whoever dies when; on a disk and in an object store."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Params, func, local, result_iterator
from disco_rq.attempt import files as taskfiles
from disco_rq.errors import JobArgumentError
from disco_rq.model import JobSpec, TaskId
from disco_rq.saving import discard, files_of, named, publish, settle, shown_address, upload
from disco_rq.worker import commits
from tests.cluster.s3server import S3Server
from tests.cluster.small_jobs import death, pairs, run
from tests.unit.saving.test_formats import record_file


@pytest.fixture(scope="module")
def disco(s3: S3Server) -> Iterator[Disco]:
    """A cluster that knows the server."""
    with Disco(workers=2) as cluster:
        yield cluster


def words(line: str, params: Any) -> list[tuple[str, str]]:
    return [(word, line) for word in line.split()]


def by_letter(key: str, value: str) -> str:
    return f"first={key[0]}/n={len(key)}"


def tree(directory: Path | str) -> list[str]:
    """All files below a directory, hidden ones too."""
    return sorted(str(path.relative_to(directory)) for path in Path(directory).rglob("*") if path.is_file())


INPUT = ["raw://ab a b", "raw://b ab"]
EXPECTED = [("a", "ab a b"), ("b", "ab a b"), ("ab", "ab a b"), ("b", "b ab"), ("ab", "b ab")]
FILES = [
    *("first=a/n=1/part-00000", "first=a/n=2/part-00000", "first=b/n=1/part-00000"),
    *("first=a/n=2/part-00001", "first=b/n=1/part-00001"),
]
LISTS = [".part-00000", ".part-00001"]


# -- whole jobs


@pytest.mark.parametrize(
    ("format", "extension"),
    [("msgpack", "disco"), ("jsonl.gz", "jsonl.gz"), ("csv", "csv"), ("parquet", "parquet"), ("text", "txt")],
)
def test_pairs_lie_where_the_function_says(disco: Disco, tmp_path: Path, format: str, extension: str) -> None:
    arguments: dict[str, Any] = {"map": words, "save_format": format, "save_by": by_letter}
    job = run(disco, input=INPUT, save=tmp_path / "cluster", **arguments)
    alone = local.run("small", INPUT, save=tmp_path / "local", split_size=None, **arguments)

    for root, one in (("cluster", job), ("local", alone)):
        directory = tmp_path / root / one.name
        addresses = one.wait()
        assert addresses == [f"{directory}/{name}.{extension}" for name in FILES]
        assert one.results() == ("ready", addresses)
        assert sorted(result_iterator(one)) == sorted(EXPECTED)
        assert sorted(result_iterator(f"{directory}/**")) == sorted(EXPECTED)
        assert [key for key, _ in result_iterator(f"{directory}/first=b/n=1")] == ["b", "b"]
        assert tree(directory) == sorted(
            [f"{name}.{extension}" for name in FILES] + [f"{name}.{extension}.by" for name in LISTS]
        )
    assert job.jobinfo()["results"] == job.wait()
    job.purge()
    assert sorted(result_iterator(f"{tmp_path}/cluster/{job.name}/**")) == sorted(EXPECTED)


def test_reduces_save_by_name_in_the_order_of_their_pairs(disco: Disco, tmp_path: Path) -> None:
    job = run(
        disco,
        input=["raw://c1 b2 a1", "raw://a2 b1 c2"],
        map=words,
        reduce=lambda entries, params: ((key, 1) for key, _ in entries),
        sort=True,
        nr_reduces=1,
        save=tmp_path,
        save_by=lambda key, value: key[1],
    )

    assert list(result_iterator(tmp_path / job.name / "1")) == [("a1", 1), ("b1", 1), ("c1", 1)]
    assert list(result_iterator(tmp_path / job.name / "2")) == [("a2", 1), ("b2", 1), ("c2", 1)]


def test_a_directory_of_a_name_is_the_input_of_the_next_job(disco: Disco, tmp_path: Path) -> None:
    first = run(disco, input=INPUT, map=words, save=tmp_path, save_by=by_letter, save_format="jsonl")
    below = [f"{tmp_path}/{first.name}/first=b/**"]

    second = run(disco, input=below, map=lambda e, _: [(e["key"], 1)], map_reader=func.jsonl_reader())

    assert pairs(second) == [("b", 1), ("b", 1)]


def test_a_task_without_pairs_saves_nothing(disco: Disco, tmp_path: Path) -> None:
    job = run(disco, input=INPUT, map=lambda line, params: [], save=tmp_path, save_by=by_letter)

    assert job.wait() == []
    assert not [name for name in tree(tmp_path / job.name) if not Path(name).name.startswith(".")]


def test_a_list_that_somebody_has_deleted_costs_no_answer(disco: Disco, tmp_path: Path) -> None:
    job = run(disco, input=["raw://a"], map=words, save=tmp_path, save_by=by_letter)
    [address] = job.wait()
    (tmp_path / job.name / ".part-00000.disco.by").unlink()

    pattern = f"{tmp_path}/{job.name}/**/part-00000.disco"
    assert job.jobinfo()["results"] == [pattern]
    assert list(result_iterator(pattern)) == [("a", "a")]
    assert list(result_iterator([address])) == [("a", "a")]


def test_an_object_store(disco: Disco, s3: S3Server) -> None:
    job = run(disco, input=INPUT, map=words, save="s3://bucket/by", save_by=by_letter, save_format="jsonl")

    assert job.wait() == [f"s3://bucket/by/{job.name}/{name}.jsonl" for name in FILES]
    assert sorted(pairs(job)) == sorted(EXPECTED)
    assert sorted(result_iterator(f"s3://bucket/by/{job.name}/**")) == sorted(EXPECTED)
    assert s3.names(f"by/{job.name}") == sorted(
        [f"{name}.jsonl" for name in FILES] + [f"{name}.jsonl.by" for name in LISTS]
    )


# -- what goes wrong


def test_a_wrong_answer_ends_the_job_with_function_key_and_value(disco: Disco, tmp_path: Path) -> None:
    def up_and_away(key: str, value: str) -> str:
        return "../" + key

    told = death(disco, input=["raw://a"], map=words, save=tmp_path / "out", save_by=up_and_away)

    assert "TaskError: save_by answered '../a' for the key 'a' with the value 'a': .. is no name" in told
    assert "up_and_away at test_save_by.py:" in told
    assert tree(tmp_path) == []


def test_an_error_of_the_function_is_told_with_the_pair(disco: Disco, tmp_path: Path) -> None:
    told = death(disco, input=["raw://a"], map=words, save=tmp_path, save_by=lambda key, value: value["day"])

    assert "TypeError: " in told
    assert "(in save_by for the key 'a' with the value 'a'" in told


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"save_by": by_letter}, "save_by: there is no save, which says where"),
        ({"save": ".", "save_by": "day"}, "save_by='day': it takes a function"),
        (
            {"save": ".", "save_by": lambda key: key},
            "save_by is called with (key, value), but it takes (key)",
        ),
        (
            {"save": ".", "save_by": by_letter, "map_writer": lambda fd, key, value, params: None},
            "save_by: the job's map_writer writes bytes",
        ),
    ],
)
def test_refused_before_anything_is_queued(disco: Disco, arguments: dict[str, Any], says: str) -> None:
    with pytest.raises(JobArgumentError) as caught:
        disco.new_job("refused", ["raw://a"], map=words, **arguments)
    assert says in str(caught.value)


# -- exactly once


def dies_once(entry: str, params: Any) -> Iterator[tuple[str, str]]:
    """The first attempt is killed within its upload, behind it, before it is published, or while it is."""
    try:
        Path(params.directory, "died").touch(exist_ok=False)
    except FileExistsError:
        yield from ((f"{letter}2", "second") for letter in "bc")
        return

    def kill(*_: Any, **__: Any) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    module: Any = {"upload": taskfiles, "publish": commits}.get(params.dies_in, named)
    before = getattr(
        module, {"uploading": "sync_place", "publishing": "put_in_place"}.get(params.dies_in, params.dies_in)
    )
    count = 0

    def at_the_second(*arguments: Any, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == 2 or params.dies_in == "publish":
            kill()
        done = before(*arguments, **options)
        if params.dies_in == "upload":
            kill()
        return done

    setattr(module, before.__name__, at_the_second)
    yield from ((f"{letter}1", "first") for letter in "ab")


@pytest.mark.parametrize("where", ["disk", "s3"])
@pytest.mark.parametrize(
    ("dies_in", "counts"),
    [("uploading", "second"), ("upload", "second"), ("publish", "first"), ("publishing", "first")],
)
def test_the_commit_decides_for_all_files_of_a_task(
    disco: Disco,
    s3: S3Server,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    dies_in: str,
    counts: str,
) -> None:
    if where == "s3" and dies_in == "uploading":
        pytest.skip("what is uploaded to an object store is not synced, which is where it dies")
    monkeypatch.setattr("disco_rq.saving.parts.COPY_PATIENCE_S", 0.1)
    save = str(tmp_path / "out") if where == "disk" else f"s3://bucket/dies-{dies_in}"
    params = Params(directory=str(tmp_path), dies_in=dies_in)

    job = run(disco, map=dies_once, params=params, save=save, save_format="jsonl", save_by=lambda k, v: k[0])

    expected = {"first": [("a1", "first"), ("b1", "first")], "second": [("b2", "second"), ("c2", "second")]}
    assert pairs(job) == expected[counts]
    assert sorted(result_iterator(f"{save}/{job.name}/**")) == expected[counts]
    assert len(job.story("map:0")) == (2 if counts == "second" else 1)
    if where == "disk":
        left = [name for name in tree(f"{save}/{job.name}") if name.startswith(".")]
    else:
        left = [name for name in s3.names(f"dies-{dies_in}/{job.name}") if name.startswith(".")]
    assert left == [".part-00000.jsonl.by"]


def test_publishing_may_be_done_by_everybody_at_any_time(tmp_path: Path) -> None:
    records = record_file(tmp_path, [("a", "1"), ("b", "2")])
    spec = JobSpec(
        *("j@20260101-000000-abcd", 1, 0, True, False),
        save=str(tmp_path / "out"), save_format="text", has_save_by=True,
    )  # fmt: skip
    directory = tmp_path / "out" / spec.name

    def attempt() -> str:
        return upload(spec, TaskId("map", 0), 1, records, tmp_path, save_by=lambda key, value: f"x/{key}")

    lost, winner, late = attempt(), attempt(), attempt()
    (Path(late) / "names").unlink()  # it was killed while it uploaded
    final = [f"{directory}/x/{name}/part-00000.txt" for name in "ab"]
    assert files_of([winner]) == final
    assert not (directory / "x").exists()
    assert shown_address(winner) == f"{directory}/**/part-00000.txt"

    publish(winner)
    publish(winner)
    discard(lost)
    settle([winner])

    assert files_of([winner]) == final
    assert tree(directory) == [".part-00000.txt.by", "x/a/part-00000.txt", "x/b/part-00000.txt"]
    assert [path.name for path in tmp_path.iterdir() if path.name != "out"] == ["records"]
