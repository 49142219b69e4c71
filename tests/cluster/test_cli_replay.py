"""A task once more, at the command line: compared, looked at, debugged."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq import Disco, JobError
from disco_rq.client.embedded import EmbeddedCluster
from tests.cluster.user import Seen, User

PROGRAM = """
import logging

def number(line):
    return int(line)

def map(line, params):
    print("looking at", line)
    logging.getLogger("mine").info("logged")
    put("seen-" + line, [1])
    counter("lines")
    msg("a message")
    yield number(line) % 3, 1

def reduce(pairs, params):
    for pair in pairs:
        yield pair
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster that the tests of this module share."""
    cluster = EmbeddedCluster(1)
    try:
        yield cluster.url
    finally:
        cluster.close()


@pytest.fixture
def user(tmp_path: Path, cluster: str) -> User:
    (tmp_path / "p.py").write_text(PROGRAM)
    (tmp_path / "good").write_text("1\n2\n3\n")
    (tmp_path / "ill").write_text("1\n2\nthree\n4\n")
    return User(tmp_path, cluster)


def debugged(user: User, commands: str, *words: str) -> Seen:
    with user.starts("replay", "@", *words, stdin=subprocess.PIPE) as going:
        out, err = going.communicate(commands, timeout=60)
    return Seen(out, err)


def test_it_tells_what_the_task_does_and_that_it_is_the_same(user: User) -> None:
    user.types("run", "p.py", "good")

    seen = user.types("replay", "@", "map:0")

    assert seen.lines[:3] == ["looking at 1", "looking at 2", "looking at 3"]
    assert "put seen-2: [1]" in seen.lines
    assert "counter lines: 3" in seen.lines
    assert seen.lines.count("msg: a message") == 3
    assert seen.lines[-4:] == ["pairs: 3", "1\t1", "2\t1", "0\t1"]
    assert "INFO mine: logged" in seen.err
    assert seen.err.endswith("map:0: it is what map:0/1 has committed\n")


def test_json_tells_the_same_and_nothing_that_the_task_prints(user: User) -> None:
    user.types("run", "p.py", "good")

    seen = user.types("replay", "@", "map:0", "--json")

    assert seen.json["agrees"] is True
    assert seen.json["pairs"] == [[1, 1], [2, 1], [0, 1]]
    assert seen.json["puts"] == {"seen-1": [1], "seen-2": [1], "seen-3": [1]}
    assert "looking at 1" in seen.err


def test_a_failure_leaves_with_1_and_its_traceback(user: User) -> None:
    user.types("run", "p.py", "ill", status=1)

    seen = user.types("replay", "@", "map:0", status=1)

    assert (
        "map:0 raised ValueError: invalid literal for int() with base 10: 'three' (in entry 3 of " in seen.err
    )
    assert "line 5, in number\n    return int(line)" in seen.err
    assert "map:0: it fails as map:0/1 did" in seen.err


def test_one_entry(user: User) -> None:
    user.types("run", "p.py", "ill", status=1)

    assert "looking at 4" in user.types("replay", "@", "map:0", "--entry", "4").out
    assert "in entry 3 of" in user.types("replay", "@", "map:0", "--entry", "3", status=1).err


def test_pdb_stops_in_the_frame_that_raised(user: User) -> None:
    user.types("run", "p.py", "ill", status=1)

    seen = debugged(user, "p 'it is ' + line\nup\np params\nq\n", "map:0", "--pdb")

    assert "p.py(5)number()" in seen.out
    assert "'it is three'" in seen.out
    assert "p.py(13)map()" in seen.out


def test_a_breakpoint_stops(user: User) -> None:
    (user.home / "p.py").write_text(PROGRAM.replace("    return int", "    breakpoint()\n    return int"))
    user.types("submit", "p.py", "good")
    user.types("wait", "@", status=1)

    seen = debugged(user, "p 'it is ' + line\nc\n" * 3, "map:0")

    assert "'it is 1'" in seen.out
    assert "'it is 3'" in seen.out
    assert "pairs: 3" in seen.out


def test_a_breakpoint_of_an_editor_finds_the_file_in_another_place(user: User, cluster: str) -> None:
    """Here a debugger knows its breakpoint by file and line, as an editor does."""
    user.types("run", "p.py", "good")
    here = user.home / "elsewhere"
    here.mkdir()
    (user.home / "p.py").rename(here / "p.py")
    moved = User(here, cluster)
    moved.env["XDG_STATE_HOME"] = user.env["XDG_STATE_HOME"]

    seen = moved.types("replay", "@", "map:0", "--json")

    assert seen.json["notes"] == ["it is what map:0/1 has committed"]


@pytest.mark.parametrize("state", ["has changed", "is not here"])
def test_a_line_says_which_file_is_not_the_same(user: User, state: str) -> None:
    user.types("run", "p.py", "ill", status=1)
    if state == "has changed":
        (user.home / "p.py").write_text("# a line more\n" + PROGRAM)
    else:
        (user.home / "p.py").unlink()

    seen = debugged(user, "l\nq\n", "map:0", "--pdb")

    assert f"p.py {state}" in seen.err
    assert "->\t    return int(line)" in seen.out  # as it was


def test_pdb_stops_at_an_entry_that_was_left_out(user: User) -> None:
    user.types("run", "p.py", "--max-bad", "5", "ill")

    seen = debugged(user, "p 'it is ' + line\nq\n", "map:0", "--entry", "3", "--pdb")

    assert "'it is three'" in seen.out


def test_the_functions_of_a_session_need_no_file(user: User, cluster: str, tmp_path: Path) -> None:
    with Disco(cluster) as disco:
        job = disco.new_job("session", [str(tmp_path / "good")], map=eval("lambda line, params: line.no"))
        with pytest.raises(JobError):
            job.wait(timeout=60)

        done = job.replay("map:0")

    assert done.fails_alike
    assert done.notes == ["it fails as map:0/1 did"]
