"""A job is called by its name, a beginning of it, or what its name begins with."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from disco_rq.cli import lastjob
from disco_rq.cli.naming import find_job, whole_name
from disco_rq.errors import DiscoError, UnknownJob
from disco_rq.store import keys

NEWEST_FIRST = (
    "count-words@20261124-000000-aaaa",
    "count@20261123-120000-bbbb",
    "count@20261122-120000-cccc",
)


def nowhere() -> str:
    raise AssertionError("nothing is to be looked up")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("count-w", NEWEST_FIRST[0]),
        ("count-words@", NEWEST_FIRST[0]),
        ("count@20261122", NEWEST_FIRST[2]),
        ("@count", NEWEST_FIRST[1]),
        ("@count-words", NEWEST_FIRST[0]),
    ],
)
def test_a_job_is_found_by_the_beginning_of_its_name_and_the_last_of_a_name(text: str, found: str) -> None:
    assert find_job(text, NEWEST_FIRST) == found


def test_a_beginning_of_several_names_is_refused_with_them() -> None:
    with pytest.raises(DiscoError, match=re.escape("'count' begins the names of 3 jobs: count-words@")):
        find_job("count", NEWEST_FIRST)


@pytest.mark.parametrize("text", ["@coun", "zebra", "@zebra"])
def test_what_begins_no_name_is_an_unknown_job(text: str) -> None:
    with pytest.raises(UnknownJob, match=f"unknown job {text!r}"):
        find_job(text, NEWEST_FIRST)


@pytest.mark.parametrize("text", [NEWEST_FIRST[0], "s3://bucket/out", "./out", "a b", "", "@/"])
def test_whole_names_and_what_is_no_name_are_not_looked_up(text: str) -> None:
    assert whole_name(text, nowhere) == text


def test_the_last_job_is_one_of_each_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    here, there = "redis://user:word@here:6379/0?x=1", "redis://there:6379/0"

    with pytest.raises(UnknownJob, match="not submitted one to it yet"):
        lastjob.recall(here)
    lastjob.remember("first@20261123-203900-abcd", here)
    lastjob.remember("second@20261123-203901-abcd", here)
    lastjob.remember("third@20261123-203902-abcd", there)

    assert lastjob.recall("redis://other:login@here:6379/0?x=1") == "second@20261123-203901-abcd"
    assert whole_name("@", lambda: there) == "third@20261123-203902-abcd"
    written = [file.name for file in (tmp_path / "state" / "disco-rq" / "last-jobs").iterdir()]
    assert len(written) == 2
    assert "word" not in "".join(written)
    monkeypatch.setattr(keys, "JOBS", "team1:jobs")  # one more cluster in the same Redis
    with pytest.raises(UnknownJob):
        lastjob.recall(here)


def test_no_more_clusters_are_remembered_than_anybody_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(lastjob, "MOST_CLUSTERS", 3)

    for number in range(6):
        lastjob.remember("job@20261123-203900-abcd", f"unix:///tmp/{number}/redis.sock")

    assert len(list((tmp_path / "disco-rq" / "last-jobs").iterdir())) == 3
    assert lastjob.recall("unix:///tmp/5/redis.sock")


def test_a_state_directory_that_cannot_be_written_loses_no_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))

    lastjob.remember("first@20261123-203900-abcd", "redis://here")

    with pytest.raises(UnknownJob):
        lastjob.recall("redis://here")
