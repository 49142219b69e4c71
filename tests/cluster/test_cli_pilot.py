"""A pilot at the command line: the table, the question, and what comes of each answer."""

from __future__ import annotations

import os
import pty
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq import Disco
from disco_rq.client.embedded import EmbeddedCluster
from tests.cluster.conftest import wait_until
from tests.cluster.user import Seen, User

COUNT = """
def map(line, params):
    yield line.split()[0], 1

def reduce(pairs, params):
    for word, number in pairs:
        yield word, number
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with EmbeddedCluster(2) as running:
        yield running.url


@pytest.fixture
def user(tmp_path: Path, cluster: str) -> User:
    (tmp_path / "count.py").write_text(COUNT)
    for number in range(8):
        (tmp_path / f"text{number}.txt").write_text(f"word{number} is first\n")
    return User(tmp_path, cluster)


def at_terminal(user: User, *words: str, answer: str, status: int = 0) -> Seen:
    """Type a command at a terminal, and the answer to its question."""
    ours, theirs = pty.openpty()
    try:
        with user.starts(*words, stdin=theirs) as going:
            os.write(ours, answer.encode())
            out, err = going.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert going.returncode == status, err
    return Seen(out, err)


def test_with_yes_it_tells_and_goes_on(user: User) -> None:
    seen = user.types("run", "count.py", "text*.txt", "--pilot", "25%", "--yes")

    assert sorted(seen.lines) == [f"word{number}\t1" for number in range(8)]
    assert "  pilot                       2 maps" in seen.err
    assert "  time left                   " in seen.err
    assert "  memory of the largest task  " in seen.err


def test_at_a_terminal_it_asks(user: User) -> None:
    seen = at_terminal(user, "run", "count.py", "text*.txt", "--pilot", "2", answer="y\n")

    assert "Run the rest? [Y/n]: " in seen.err
    assert len(seen.lines) == 8


def test_who_says_no_has_no_job_any_more(user: User) -> None:
    before = user.types("jobs").out

    seen = at_terminal(user, "run", "count.py", "text*.txt", "--pilot", "2", answer="n\n", status=1)

    assert seen.out == ""
    assert seen.err.splitlines()[-1] == "disco-rq: the job was not to go on after its pilot"
    assert user.types("jobs").out == before


def test_where_nobody_can_answer_it_waits_for_a_resume(user: User) -> None:
    with user.starts("run", "count.py", "text*.txt", "--pilot", "2", stdin=-3) as going:
        assert going.stderr is not None
        for line in going.stderr:
            if "memory of the largest task" in line:
                break
        user.types("resume", "@")
        assert going.stdout is not None
        assert len(going.stdout.read().splitlines()) == 8
        assert going.wait(20) == 0


def test_a_cluster_of_its_own_does_not_wait_for_nobody(user: User) -> None:
    alone = User(user.home)

    with alone.starts("run", "count.py", "text*.txt", "--pilot", "2", stdin=-3) as going:
        _, err = going.communicate(timeout=60)

    assert going.returncode == 1
    assert err.splitlines()[-1].startswith("disco-rq: after its pilot nobody can be asked here")


def test_info_tells_the_table_and_json_all_of_it(user: User) -> None:
    name = user.types("submit", "count.py", "text*.txt", "--pilot", "2").out.strip()
    wait_until(lambda: user.types("info", name, "--json").json["paused"])

    table = dict(line.split("\t", 1) for line in user.types("info", name).lines)
    told = user.types("info", name, "--json").json["pilot"]

    assert table["status"] == "active, paused"
    assert table["pilot"] == "2 maps"
    assert "time left" in table
    assert told["seconds"]["low"] <= told["seconds"]["expected"] <= told["seconds"]["high"]
    user.types("purge", name)


@pytest.mark.parametrize(("given", "told"), [("x", "it takes a number"), ("1.5", "pilot=1.5: it takes")])
def test_a_pilot_of_nothing_is_refused(user: User, given: str, told: str) -> None:
    with user.starts("run", "count.py", "text*.txt", "--pilot", given) as going:
        _, err = going.communicate(timeout=60)

    assert going.returncode != 0
    assert told in err


def test_ctrl_c_at_the_question_leaves_no_job_behind(user: User, cluster: str) -> None:
    with user.at_a_terminal("run", "count.py", "text0.txt", "text1.txt", "text2.txt", "--pilot", "1") as it:
        it.shows("Run the rest?")
        it.interrupts()
        told, status = it.ends()

    assert "is purged" in told
    assert status == 130
    with Disco(cluster) as disco:
        assert not any(status == "active" for _, status, _ in disco.joblist())
