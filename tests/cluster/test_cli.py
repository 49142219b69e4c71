"""The command line against real clusters: what users type, what they see, and the exit status."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq.client.embedded import EmbeddedCluster
from disco_rq.machine.redisserver import PrivateServer
from tests.cluster.user import User

COUNT = """
from disco_rq.func import kvgroup

sort = True
nr_reduces = 2

def map(line, params):
    for word in line.split():
        yield word, getattr(params, "step", 1)

def reduce(pairs, params):
    n = 0
    for word, counts in kvgroup(pairs):
        n += 1
        yield word, sum(counts)
    put(f"distinct:{this_partition()}", {"n": n})
    msg("counted in partition %d" % this_partition())
"""

RAISES = """
def helper(line):
    return 1 / int(line)

def map(line, params):
    yield helper(line), 1
"""

WAITS = """
import pathlib, time

def map(line, params):
    pathlib.Path(line).touch()
    while True:
        time.sleep(0.01)
"""

TEXT = "one two\nthree two\nthree three\n"
COUNTS = {"one": 1, "two": 2, "three": 3}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster that the tests of this module share."""
    with EmbeddedCluster(2) as running:
        yield running.url


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A user's working directory with a program and a text."""
    for name, text in {"count.py": COUNT, "raises.py": RAISES, "waits.py": WAITS, "text.txt": TEXT}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def counts_in(out: str) -> dict[str, int]:
    return {word: int(count) for word, count in (line.split("\t") for line in out.splitlines())}


@pytest.fixture
def user(home: Path, cluster: str) -> User:
    return User(home, cluster)


@pytest.fixture
def loner(home: Path) -> User:
    """A user without a cluster."""
    return User(home)


# -- run


def test_run_needs_no_cluster(loner: User) -> None:
    seen = loner.types("run", "count.py", "text.txt", "--workers", "1")

    assert counts_in(seen.out) == COUNTS
    assert "reduce 2/2" in seen.err


def test_run_shows_messages_and_oob_results_on_stderr_only(user: User) -> None:
    seen = user.types("run", "count.py", "text.txt")

    assert counts_in(seen.out) == COUNTS
    assert "counted in partition 0" in seen.err
    assert "distinct:0 = " in seen.err


def test_run_quietly_says_nothing_beside_the_results(user: User) -> None:
    seen = user.types("run", "count.py", "text.txt", "--quiet")

    assert counts_in(seen.out) == COUNTS
    assert seen.err == ""


def test_run_prints_json_lines(user: User) -> None:
    seen = user.types("run", "count.py", "text.txt", "--json")

    assert dict(json.loads(line) for line in seen.lines) == COUNTS


def test_run_takes_params_and_options_over_the_programs_own(user: User) -> None:
    seen = user.types("run", "count.py", "text.txt", "-p", "step=10", "--nr-reduces", "1", "--name", "tens")

    assert counts_in(seen.out) == {word: 10 * count for word, count in COUNTS.items()}
    assert "reduce 1/1" in seen.err
    assert user.types("jobs").rows[0][2].startswith("tens@")


def test_run_takes_several_inputs_and_globs(user: User) -> None:
    (user.home / "more.txt").write_text("one\n")

    seen = user.types("run", "count.py", "*.txt", "text.txt")

    assert counts_in(seen.out) == {"one": 3, "two": 4, "three": 6}


def test_run_writes_a_whole_file(user: User) -> None:
    seen = user.types("run", "count.py", "text.txt", "--output", "counts.tsv")

    assert seen.out == ""
    assert counts_in((user.home / "counts.tsv").read_text()) == COUNTS


def test_a_dead_job_leaves_with_1_its_cause_and_the_users_traceback(user: User) -> None:
    (user.home / "zero.txt").write_text("0\n")

    seen = user.types("run", "raises.py", "zero.txt", "--quiet", "--output", "out.tsv", status=1)

    assert "ZeroDivisionError: division by zero" in seen.err.splitlines()[0]
    assert "map:0" in seen.err.splitlines()[0]
    assert "zero.txt" in seen.err
    assert "return 1 / int(line)" in seen.err
    assert "/disco_rq/" not in seen.err
    assert not (user.home / "out.tsv").exists()


def test_a_missing_input_is_one_line_and_nothing_is_queued(user: User) -> None:
    before = user.types("jobs").out

    seen = user.types("run", "count.py", "missing.txt", status=1)

    assert "missing.txt" in seen.err
    assert seen.err.count("\n") == 1
    assert user.types("jobs").out == before


def test_an_output_that_cannot_be_written_is_refused_before_any_work(user: User) -> None:
    before = user.types("jobs").out

    seen = user.types("run", "count.py", "text.txt", "--output", "no/such/folder/out.tsv", status=1)

    assert seen.err == "disco-rq: --output no/such/folder/out.tsv: No such file or directory\n"
    assert user.types("jobs").out == before


def test_a_reader_that_has_seen_enough_is_no_error(user: User) -> None:
    # given more output than a pipe holds
    (user.home / "many.txt").write_text("\n".join(f"word{i}" for i in range(50_000)))

    # when the reader leaves after a line
    with user.starts("run", "count.py", "many.txt", "--quiet") as going:
        assert going.stdout is not None
        assert going.stdout.readline().startswith("word")
        going.stdout.close()

        # then the program ends quietly
        assert going.stderr is not None
        assert going.stderr.read() == ""
        assert going.wait(20) == 0


def test_a_full_disk_under_the_output_is_one_line(user: User) -> None:
    with open("/dev/full", "w") as full:
        seen = user.types("run", "count.py", "text.txt", "--quiet", status=1, stdout=full)

    assert "No space left on device" in seen.err
    assert seen.err.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_kills_the_job_and_leaves_nothing_of_it(user: User, number: signal.Signals) -> None:
    before = user.types("jobs").out

    # given a job whose map runs
    (user.home / "where.txt").write_text(f"{user.home}/running.mark\n")
    with user.starts("run", "waits.py", "where.txt") as going:
        assert going.stderr is not None
        for line in going.stderr:
            if "(1 running)" in line:
                break

        # when its user has enough of it
        going.send_signal(number)

        # then both end
        assert going.stderr.read().splitlines()[-1] == "disco-rq: interrupted"
        assert going.wait(20) == 130
    assert user.types("jobs").out == before


def test_a_terminal_shows_moving_bars(user: User) -> None:
    ours, theirs = pty.openpty()

    with user.starts("run", "count.py", "text.txt", stderr=theirs) as going:
        os.close(theirs)
        shown = b""
        while chunk := read_terminal(ours):
            shown += chunk
        assert going.wait(20) == 0
    os.close(ours)

    text = shown.decode()
    assert "━" in text
    assert "counted in partition 1" in text
    assert "2/2" in text


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # how a terminal says that nobody has it open any more
        return b""


# -- submit, wait, and looking at a job


def test_submit_returns_the_name_and_wait_the_results(user: User) -> None:
    name = user.types("submit", "count.py", "text.txt").out.strip()

    addresses = user.types("wait", "@").lines

    assert name.startswith("count@")
    assert len(addresses) == 2
    assert user.types("results", name).lines == addresses
    assert counts_in(user.types("cat", name).out) == COUNTS


def test_wait_can_give_up_and_the_job_goes_on(user: User) -> None:
    (user.home / "where.txt").write_text(f"{user.home}/running.mark\n")
    name = user.types("submit", "waits.py", "where.txt").out.strip()

    seen = user.types("wait", "@", "--timeout", "0.3", "--quiet", status=1)

    assert seen.err == f"disco-rq: {seen.err.removeprefix('disco-rq: ').strip()}\n"
    assert "Timeout" in seen.err
    assert user.types("results", "--json", name).json["status"] == "active"
    user.types("kill", "@")
    assert user.types("results", "--json", "@", status=1).json["status"] == "dead"
    user.types("purge", "@")


def test_the_verbs_about_a_job_know_the_last_one(user: User) -> None:
    user.types("run", "count.py", "text.txt", "--quiet")

    info = user.types("info", "@")
    listed = user.types("jobs", "--json").json[0]

    assert f"job\t{listed['job']}" in info.lines
    assert "map\t1/1" in info.lines
    assert "reduce\t2/2" in info.lines
    assert listed["status"] == "ready"
    assert user.types("info", "@", "--json").json["mapi"] == [0, 0, 1, 0]
    assert "counted in partition 0" in user.types("events", "@").out
    events = [json.loads(line) for line in user.types("events", "@", "--json", "--follow").lines]
    assert [event["timestamp"] for event in events] == sorted(event["timestamp"] for event in events)


def test_oob_results_are_listed_and_read(user: User) -> None:
    user.types("run", "count.py", "text.txt", "--quiet")

    keys = user.types("oob", "list", "@").lines

    assert keys == ["distinct:0", "distinct:1"] == user.types("oob", "list", "@", "--json").json
    found = [user.types("oob", "get", "@", key).json["n"] for key in keys]
    assert sum(found) == len(COUNTS)


PUTS = """
def map(line, params):
    put("text", "grüße\\n")
    put("line", "one")
    put("bytes", b"\\x00\\xff")
    put("json", {"n": [1, None]})
    return []
"""


def test_oob_results_come_as_they_were_put(user: User) -> None:
    (user.home / "puts.py").write_text(PUTS)
    user.types("run", "puts.py", "raw://x", "--quiet")

    def got(key: str) -> bytes:
        whole = user.home / "got"
        with whole.open("w") as file:
            user.types("oob", "get", "@", key, stdout=file)
        return whole.read_bytes()

    assert user.types("oob", "@").lines == ["bytes", "json", "line", "text"]
    assert [got(key) for key in ("text", "line", "bytes")] == ["grüße\n".encode(), b"one", b"\x00\xff"]
    assert json.loads(got("json")) == {"n": [1, None]}
    assert user.types("oob", "get", "@", "text", "--json").json == "grüße\n"
    assert "has no OOB result 'nonesuch'" in user.types("oob", "get", "@", "nonesuch", status=1).err


def test_a_purged_job_is_unknown_to_every_verb(user: User) -> None:
    user.types("run", "count.py", "text.txt", "--quiet")

    user.types("purge", "@")

    for words in (["info", "@"], ["results", "@"], ["events", "@"], ["oob", "list", "@"], ["cat", "@"]):
        seen = user.types(*words, status=1)
        assert "unknown job" in seen.err
        assert seen.err.count("\n") == 1


def test_nodes_are_listed_with_their_workers(user: User) -> None:
    (node,) = user.types("nodes", "--json").json["available"]

    seen = user.types("nodes")
    assert seen.lines[0].split("\t")[:3] == ["node", "state", "max_workers"]
    assert [row[:3] for row in seen.rows] == [[node["node"], "alive", "2"]]


# -- programs that stay


def test_up_is_a_cluster_for_other_shells_until_ctrl_c(loner: User) -> None:
    with loner.starts("up", "--workers", "1") as going:
        assert going.stdout is not None
        export = going.stdout.readline()
        address = export.removeprefix("export DISCO_RQ_REDIS=").strip()

        seen = loner.types("run", "count.py", "text.txt", "--redis", address)
        going.send_signal(signal.SIGINT)

        assert counts_in(seen.out) == COUNTS
        assert going.wait(20) == 0
    assert not Path(address.removeprefix("unix://")).exists()


def test_a_master_and_a_node_make_a_cluster(loner: User, short_dir: Path) -> None:
    with PrivateServer(short_dir) as server:
        node = ("--slots", "1", "--node", "alpha", "--data", "data")
        with (
            loner.starts("master", "--redis", server.url, stderr=subprocess.DEVNULL) as master,
            loner.starts("node", "--redis", server.url, *node, stderr=subprocess.DEVNULL) as alpha,
        ):
            seen = loner.types("run", "count.py", "text.txt", "--redis", server.url)
            (listed,) = loner.types("nodes", "--redis", server.url).rows
            for program in (alpha, master):
                program.send_signal(signal.SIGTERM)
                assert program.wait(20) == 0

    assert counts_in(seen.out) == COUNTS
    assert listed[:3] == ["alpha", "alive", "1"]
    assert (loner.home / "data").is_dir()


@pytest.mark.parametrize("verb", ["master", "node"])
def test_a_program_without_a_redis_says_how_to_name_one(loner: User, verb: str) -> None:
    seen = loner.types(verb, status=1)

    assert "--redis" in seen.err
    assert "DISCO_RQ_REDIS" in seen.err
    assert seen.err.count("\n") == 1
