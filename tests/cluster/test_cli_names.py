"""What a person calls a job, the list of jobs, and the line about each change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq.client.embedded import EmbeddedCluster
from tests.cluster.user import User

PROGRAM = """
def map(line, params):
    yield line, float("nan")
"""

WAITS = """
import pathlib, time

def map(gate, params):
    while not pathlib.Path(gate).exists():
        time.sleep(0.01)
    yield gate, 1
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with EmbeddedCluster(1) as running:
        yield running.url


@pytest.fixture
def user(cluster: str, tmp_path: Path) -> User:
    (tmp_path / "as-is.py").write_text(PROGRAM)
    (tmp_path / "waits.py").write_text(WAITS)
    return User(tmp_path, cluster)


def submitted(user: User, name: str, program: str = "as-is.py", given: str = "raw://a") -> str:
    return user.types("submit", program, given, "--name", name).out.strip()


def test_a_job_is_meant_by_the_beginning_of_its_name_or_as_the_last_of_a_name(user: User) -> None:
    old, new = submitted(user, "twice"), submitted(user, "twice")
    other = submitted(user, "twice-as-much")

    def meant(text: str) -> str:
        return str(user.types("info", text, "--json").json["name"])

    assert meant("twice-") == other == meant("@")
    assert meant("@twice") == new
    assert meant(old[:-1]) == old or old[:-1] == new[:-1]
    assert user.types("wait", "@twice", "twice-", status=2).err  # it takes one job
    several = user.types("kill", "twice", status=1).err
    assert several.startswith("disco-rq: 'twice' begins the names of 3 jobs: ")
    assert user.types("purge", "nonesuch", status=1).err == "disco-rq: unknown job 'nonesuch'\n"
    assert user.types("oob", "twice-").out == ""


def test_a_programs_name_may_have_a_hyphen_and_what_is_no_number_is_text(user: User) -> None:
    seen = user.types("run", "as-is.py", "raw://a", "--quiet")

    assert seen.out == "a\tNaN\n"
    assert user.types("jobs", "--last", "1").rows[0][2].startswith("as-is@")


def test_jobs_are_listed_with_progress_time_and_owner_by_state_and_name(user: User) -> None:
    gate = user.home / "gate"
    done = submitted(user, "listed-done")
    user.types("wait", "@", "--quiet")
    waits = submitted(user, "listed-waits", "waits.py", f"raw://{gate}")

    def listed(*words: str) -> list[list[str]]:
        return user.types("jobs", "--name", "listed", *words).rows

    both = listed()
    assert [row[1:4] for row in both] == [["active", waits, "0.00"], ["ready", done, "1.00"]]
    assert all(float(row[4]) >= 0 and row[5] for row in both)
    assert [row[2] for row in listed("--state", "ready")] == [done]
    assert [row[2] for row in listed("--last", "1")] == [waits]
    assert listed("--state", "dead") == []
    [told] = user.types("jobs", "--name", "listed-done", "--json").json
    assert {"progress": 1.0, "status": "ready", "paused": False, "job": done}.items() <= told.items()
    user.types("pause", "@")
    assert listed("--last", "1")[0][1] == "active, paused"
    user.types("purge", "@", done)


def test_what_changes_something_says_so_in_a_line(user: User) -> None:
    job = submitted(user, "steered", "waits.py", f"raw://{user.home}/gate")

    def said(*words: str) -> str:
        seen = user.types(*words)
        assert seen.out == ""
        return seen.err

    for verb, told in {
        "pause": "is paused: nothing new of it starts, what runs goes on",
        "resume": "goes on",
        "kill": "is killed",
        "clean": "is forgotten; its files stay",
        "purge": "is purged",
    }.items():
        assert said(verb, job) == f"disco-rq: job {job} {told}\n"
        if verb == "kill":
            assert said(verb, job) == f"disco-rq: job {job} had ended: it is dead\n"
    assert said("drain", "localhost").startswith("disco-rq: node localhost gets no new tasks")
    assert said("whitelist", "localhost") == "disco-rq: node localhost gets tasks again\n"
