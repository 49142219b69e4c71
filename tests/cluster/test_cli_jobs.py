"""The verbs that look into a job and steer it, as a person types them."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq.client.embedded import EmbeddedCluster
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeStore
from tests.cluster.user import User
from tests.services import TcpServer, without_placeholders

COUNT = """
from disco_rq.func import kvgroup

nr_reduces = 2
sort = True

def map(line, params):
    for word in line.split():
        yield word, 1

def reduce(pairs, params):
    for word, counts in kvgroup(pairs):
        yield word, sum(counts)
"""

BAD = """
task_retries = 1

def parsed(line):
    return int(line)

def map(line, params):
    yield parsed(line), 1
"""

WAITS = """
import pathlib, time

def map(line, params):
    msg("waits")
    while not pathlib.Path(line).exists():
        time.sleep(0.01)
    yield line, 1

def reduce(pairs, params):
    yield from pairs
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster that the tests of this module share."""
    with EmbeddedCluster(2) as running:
        yield running.url


@pytest.fixture
def user(tmp_path: Path, cluster: str) -> User:
    programs = {"count.py": COUNT, "bad.py": BAD, "waits.py": WAITS}
    for name, text in {**programs, "text.txt": "one two\nthree two\n", "words.txt": "seven\n"}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "where.txt").write_text(f"{tmp_path}/go.mark\n")
    return User(tmp_path, cluster)


def test_tasks_are_listed_by_phase_and_state(user: User) -> None:
    user.types("run", "count.py", "text.txt", "--quiet")

    names = [row[0] for row in user.types("tasks", "@").rows]
    reduces = user.types("tasks", "@", "--phase", "reduce", "--json").json

    assert names == ["map:0", "reduce:0", "reduce:1"]
    assert [(task["task"], task["state"]) for task in reduces] == [("reduce:0", "done"), ("reduce:1", "done")]
    assert sum(task["records"] for task in reduces) == 3
    assert user.types("tasks", "@", "--state", "failed").rows == []
    assert len(user.types("tasks", "@", "--state", "done").rows) == 3


def test_more_tasks_than_a_page_are_all_listed(user: User) -> None:
    many = [f"raw://{number}" for number in range(501)]
    user.types("run", "count.py", *many, "--quiet")

    listed = user.types("tasks", "@", "--phase", "map").rows

    assert [row[0] for row in listed] == [f"map:{number}" for number in range(501)]


def test_failures_are_grouped_by_cause_with_the_users_traceback(user: User) -> None:
    user.types("run", "bad.py", "words.txt", "text.txt", "--quiet", status=1)

    said = user.types("failures", "@").out
    groups = user.types("failures", "@", "--json").json["groups"]

    assert "ValueError: invalid literal for int()" in said
    assert "it ended the job" in said
    assert "return int(line)" in said
    assert re.search(r"once more, here: disco-rq replay \S+ map:\d+ --attempt 1 --pdb$", said, re.M)
    assert [group["kind"] for group in groups] == ["error"] * len(groups)
    assert [group["fatal"] for group in groups].count(True) == 1
    assert user.types("tasks", "@", "--state", "failed").rows[0][0].startswith("map:")


def test_a_job_without_failures_says_so(user: User) -> None:
    user.types("run", "count.py", "text.txt", "--quiet")

    seen = user.types("failures", "@")

    assert (seen.out, seen.err) == ("", "no attempt has failed\n")


def test_pstats_tells_where_the_time_went(user: User) -> None:
    (user.home / "profiled.py").write_text(f"profile = True\n{COUNT}")
    user.types("run", "profiled.py", "text.txt", "--quiet")

    said = user.types("pstats", "@", "map", "--sort", "calls", "-n", "500").out
    first, *others = user.types("pstats", "@", "reduce", "--json", "-n", "3").json

    assert "profiled.py" in said
    assert "(map)" in said
    assert "(reduce)" not in said
    assert first.keys() == {
        *("function", "file", "line", "primitive_calls", "calls", "time", "cumulative"),
    }
    assert len(others) == 2
    assert first["time"] >= others[0]["time"]


def test_pstats_of_a_job_without_profiles_is_one_line(user: User) -> None:
    user.types("run", "count.py", "text.txt", "--quiet")

    assert user.types("pstats", "@", status=1).err.startswith("disco-rq: No profile data")


def test_a_paused_job_starts_nothing_until_it_is_resumed(user: User) -> None:
    # given a job whose map waits, that is held back
    user.types("submit", "waits.py", "where.txt")
    user.types("pause", "@")

    # when the map has ended
    (user.home / "go.mark").touch()
    while not user.types("tasks", "@", "--phase", "map", "--state", "done").rows:
        pass

    # then its reduce does not begin
    assert "Timeout" in user.types("wait", "@", "--timeout", "1", "--quiet", status=1).err
    assert user.types("tasks", "@", "--phase", "reduce").rows[0][:2] == ["reduce:0", "waiting"]

    # and when it is told to go on, it ends
    user.types("resume", "@")
    user.types("wait", "@", "--timeout", "30", "--quiet")


def test_following_events_ends_with_the_job_and_tells_its_end(user: User) -> None:
    user.types("submit", "waits.py", "where.txt")

    with user.starts("events", "@", "--follow") as going:
        assert going.stdout is not None
        for line in going.stdout:
            if line.endswith("waits\n"):
                break
        user.types("kill", "@")
        rest = going.stdout.read()
        assert going.wait(20) == 1

    assert "Job is dead" in rest.splitlines()[-1]


def test_events_can_be_followed_from_an_offset_or_from_now(user: User) -> None:
    # given a job that has a history, and goes on
    user.types("submit", "waits.py", "where.txt")
    while "waits" not in user.types("events", "@").out:
        pass
    past = [json.loads(line) for line in user.types("events", "@", "--json").lines]

    # when two follow it, one from the second line on, one from now on, and it ends
    with (
        user.starts("events", "@", "-f", "--json", "--offset", past[0]["offset"]) as since,
        user.starts("events", "@", "-f", "--json", "--offset", "now") as later,
    ):
        assert since.stdout is not None
        assert json.loads(since.stdout.readline()) == past[1]  # as it comes, not at the end
        user.types("kill", "@")
        of_one, of_other = (
            [json.loads(line) for line in one.communicate()[0].splitlines()] for one in (since, later)
        )
        assert (since.returncode, later.returncode) == (1, 1)

    # then each has what it asked for
    assert of_one[: len(past) - 2] == past[2:]
    assert of_one[-1]["message"].startswith("Job is dead")
    if of_other:  # on a slow machine it began to follow when all was over
        assert of_other == of_one[len(past) - 2 :][-len(of_other) :]
    assert user.types("events", "@", "--offset", of_one[-1]["offset"]).out == ""


def test_ctrl_c_ends_following_and_not_the_job(user: User) -> None:
    user.types("submit", "waits.py", "where.txt")

    with user.starts("events", "@", "-f") as going:
        assert going.stdout is not None
        assert going.stderr is not None
        going.stdout.readline()
        going.send_signal(signal.SIGINT)
        assert going.stderr.read().strip() == "disco-rq: interrupted"
        assert going.wait(20) == 130

    assert user.types("results", "@", "--json").json["status"] == "active"
    user.types("purge", "@")


def test_a_reader_of_events_that_has_seen_enough_ends_them_though_nothing_comes(user: User) -> None:
    user.types("submit", "waits.py", "where.txt")

    with user.starts("events", "@", "-f") as going:
        assert going.stdout is not None
        assert going.stderr is not None
        going.stdout.readline()
        going.stdout.close()
        assert going.stderr.read() == ""
        assert going.wait(20) == 0

    user.types("purge", "@")


def test_an_offset_that_is_none_is_refused(user: User) -> None:
    assert "it takes an offset" in user.types("events", "x@1", "--offset", "soon", status=2).err


def test_tasks_that_a_dead_job_never_ran_say_so(user: User) -> None:
    # given a job with a map that fails, and reduces that wait for it
    (user.home / "dies.py").write_text(
        BAD.replace("task_retries = 1", "nr_reduces = 2") + "\nreduce = lambda pairs, params: pairs\n"
    )
    user.types("run", "dies.py", "words.txt", "--quiet", status=1)

    assert [row[:3] for row in user.types("tasks", "@").rows] == [
        ["map:0", "failed", "1"],
        ["reduce:0", "stopped", "0"],
        ["reduce:1", "stopped", "0"],
    ]
    assert [row[0] for row in user.types("tasks", "@", "--state", "stopped").rows] == ["reduce:0", "reduce:1"]
    assert user.types("tasks", "@", "--state", "waiting").rows == []


def test_a_log_that_is_not_there_says_why(user: User) -> None:
    # given a map that runs, and a reduce that has not begun
    user.types("submit", "waits.py", "where.txt")
    while not (rows := user.types("tasks", "@", "--state", "running").rows) or float(rows[0][5]) == 0:
        pass  # for so long it has run

    while not (entries := user.types("story", "@", "map:0").rows[0][4]):
        pass
    assert entries == "0"  # it is at the first one

    running = user.types("log", "@", "map:0", status=1)
    begun = user.types("log", "@", "reduce:0", status=1)
    third = user.types("log", "@", "map:0", "--attempt", "3", status=1)
    (user.home / "go.mark").touch()
    user.types("wait", "@", "--quiet")
    done = user.types("log", "@", "map:0")

    assert running.err == "disco-rq: attempt 1 of map:0 runs on localhost, and has printed nothing so far\n"
    assert begun.err == "disco-rq: reduce:0 has no log: no attempt of it has begun\n"
    assert third.err == "disco-rq: map:0 has no log of an attempt 3: there are 1\n"
    assert (done.out, done.err) == ("", "disco-rq: attempt 1 of map:0 printed nothing\n")
    assert {running.out, begun.out, third.out} == {""}


def test_a_cleaned_job_leaves_its_results_readable(user: User) -> None:
    user.types("run", "count.py", "text.txt", "--quiet")
    addresses = user.types("results", "@").lines

    user.types("clean", "@")

    assert "unknown job" in user.types("info", "@", status=1).err
    (user.home / "again.py").write_text("def reduce(pairs, params):\n    yield from pairs\n")
    again = user.types("run", "again.py", *addresses, "--quiet")
    assert sorted(again.lines) == ["one\t1", "three\t1", "two\t2"]


def test_an_active_job_is_not_cleaned(user: User) -> None:
    user.types("submit", "waits.py", "where.txt")

    seen = user.types("clean", "@", status=1)

    assert "is active" in seen.err
    assert seen.err.count("\n") == 1
    user.types("purge", "@")


def test_purging_old_jobs_spares_the_young_and_the_active(user: User) -> None:
    # given an ended job, and one that is active
    old = run_and_name(user)
    active = user.types("submit", "waits.py", "where.txt").out.strip()
    wait_a_second_after(user, old)
    young = run_and_name(user)

    # when those are asked for that ended a second ago
    told = user.types("purge", "--older", "1s", "--dry-run").lines
    purged = user.types("purge", "--older", "1s", "--json").json

    # then it is the one
    assert old in told
    assert old in purged["jobs"]
    assert purged["did"] == "purge"
    left = {job["job"] for job in user.types("jobs", "--json").json}
    assert old not in left
    assert active in left
    assert young in left or young in purged["jobs"]  # on a slow machine a second is short
    assert user.types("purge", "--older", "7d").out == ""
    user.types("purge", active)


def run_and_name(user: User) -> str:
    user.types("run", "count.py", "text.txt", "--quiet")
    return str(user.types("info", "@", "--json").json["name"])


def wait_a_second_after(user: User, job: str) -> None:
    ended = user.types("info", job, "--json").json["ended"]
    while time.time() - ended < 1.1:
        time.sleep(0.01)


def test_nodes_are_drained_blacklisted_and_whitelisted(user: User) -> None:
    (node,) = (node["node"] for node in user.types("nodes", "--json").json["available"])

    def state() -> tuple[bool, bool]:
        (told,) = user.types("nodes", "--json").json["available"]
        return told["draining"], told["blacklisted"]

    user.types("drain", node)
    assert state() == (True, False)
    user.types("blacklist", node)
    assert state() == (False, True)
    user.types("whitelist", node)
    assert state() == (False, False)


def test_a_node_is_forgotten_when_it_is_gone_for_good(user: User) -> None:
    (node,) = (node["node"] for node in user.types("nodes", "--json").json["available"])
    assert user.types("forget", node, status=1).err.startswith(f"disco-rq: node {node!r} was seen ")

    connection = Connection(user.env["DISCO_RQ_REDIS"])
    NodeStore(connection, "old").register({"host": "h"})
    connection.close()
    user.types("forget", "old")

    assert [told["node"] for told in user.types("nodes", "--json").json["available"]] == [node]


@pytest.mark.parametrize("verb", ["drain", "blacklist", "whitelist", "forget"])
def test_a_node_that_was_never_seen_is_refused(user: User, verb: str) -> None:
    assert (
        user.types(verb, "nonesuch", status=1).err
        == "disco-rq: unknown node 'nonesuch': there are localhost\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        *(("tasks", "x@1"), ("failures", "x@1"), ("pstats", "x@1"), ("story", "x@1", "map:0")),
        *(("pause", "x@1"), ("resume", "x@1"), ("clean", "x@1"), ("kill", "x@1"), ("log", "x@1", "map:0")),
    ],
)
def test_an_unknown_job_is_one_line(user: User, words: tuple[str, ...]) -> None:
    assert user.types(*words, status=1).err == "disco-rq: unknown job 'x@1'\n"


def test_what_is_no_task_is_one_line(user: User) -> None:
    user.types("run", "count.py", "text.txt", "--quiet")

    assert user.types("story", "@", "map-3", status=1).err.count("\n") == 1
    for verb in ("story", "log"):
        seen = user.types(verb, "@", "map:7", status=1)
        assert seen.err.endswith("has no task map:7: the last is map:0\n")
        assert seen.err.count("\n") == 1


def test_what_redis_refuses_to_a_user_is_one_line(short_dir: Path, tmp_path: Path) -> None:
    users = short_dir / "users.conf"
    users.write_text(without_placeholders("users.conf", {"viewer": "password"}))

    with TcpServer(short_dir, "--include", str(users)) as server:
        seen = User(tmp_path, server.url("viewer:password@")).types(
            "kill", "x@20261124-000000-abcd", status=1
        )

    assert seen.err.startswith("disco-rq: Redis refuses this: ")
    assert seen.err.count("\n") == 1
