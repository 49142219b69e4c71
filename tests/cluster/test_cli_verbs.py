"""Every verb of the command line, once, on a real cluster: what it prints as JSON is JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq.cli.app import cli
from disco_rq.client.embedded import EmbeddedCluster
from disco_rq.store.connection import Connection
from disco_rq.store.nodes import NodeStore
from tests.cluster.user import User
from tests.unit.cli.test_help import PROGRAMS, verbs

PROGRAM = """
profile = True

def map(line, params):
    print("saw", line)
    put("seen", line)
    yield line, 1

def reduce(pairs, params):
    yield from pairs
"""
RUN = ("run", "count.py", "raw://one", "--quiet")
LINES = {"run", "cat", "events"}
"""They print a JSON line for each thing."""
CALLS: dict[str, tuple[str, ...]] = {
    "run": RUN,
    "submit": ("submit", "count.py", "raw://one"),
    "wait": ("wait", "@", "--quiet"),
    "jobs": ("jobs",),
    "nodes": ("nodes",),
    "doctor": ("doctor",),
    "help": ("help",),
    "story": ("story", "@", "map:0"),
    "log": ("log", "@", "map:0"),
    "replay": ("replay", "@", "map:0"),
    "oob list": ("oob", "list", "@"),
    "oob get": ("oob", "get", "@", "seen"),
    **{
        name: (name, "@")
        for name in ("info", "events", "results", "cat", "tasks", "failures", "bad", "pstats")
    },
    "purge": ("purge", "@"),
}
CHANGES = ("drain", "pause", "resume", "kill", "clean", "whitelist", "blacklist", "forget")
"""Verbs that print nothing unless they are asked to, in an order in which all make sense."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with EmbeddedCluster(1) as running:
        yield running.url


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def user(cluster: str, home: Path) -> User:
    """Somebody whose last job is done."""
    return done_one(cluster, home)


@pytest.fixture
def other(cluster: str, tmp_path: Path) -> User:
    """One more of them."""
    return done_one(cluster, tmp_path)


def done_one(cluster: str, home: Path) -> User:
    (home / "count.py").write_text(PROGRAM)
    user = User(home, cluster)
    user.types(*RUN)
    return user


def test_no_verb_is_left_out() -> None:
    assert CALLS.keys() | {*CHANGES, "retry"} | PROGRAMS == {name for name, _ in verbs(cli)}


def test_a_dead_job_goes_on_and_says_so_as_json(other: User) -> None:
    (other.home / "dies.py").write_text("def map(line, params):\n    raise ValueError(line)\n")
    (other.home / "mended.py").write_text("def map(line, params):\n    return []\n")
    other.types("run", "dies.py", "raw://one", "--quiet", status=1)
    dead = other.types("info", "@", "--json").json["name"]

    told = other.types("retry", "@", "--with", "mended.py", "--json").json

    assert {"retry_of": dead, "kept": 0}.items() <= told.items()
    assert other.types("wait", "@", "--json").json["job"] == told["job"]


@pytest.mark.parametrize("name", list(CALLS))
def test_what_a_verb_prints_as_json_is_json_and_nothing_else(
    user: User, request: pytest.FixtureRequest, name: str
) -> None:
    if name in ("submit", "purge"):  # the others need the last job as it is
        user = request.getfixturevalue("other")
    seen = user.types(*CALLS[name], "--json")

    told = [json.loads(line) for line in seen.lines] if name in LINES else [seen.json]
    assert told
    assert name in ("run", "wait", "doctor", "replay") or seen.err == ""


def test_what_a_verb_changes_it_tells_as_json_and_only_so(cluster: str, tmp_path: Path) -> None:
    # given a node that is gone, and, once the other one drains, a job that waits
    NodeStore(Connection(cluster), "gone").register({"host": "h"})
    (tmp_path / "count.py").write_text(PROGRAM)
    user = User(tmp_path, cluster)
    job = ""
    for verb in CHANGES:
        # when
        on = {"forget": "gone"}.get(verb, "localhost" if verb in ("drain", "whitelist", "blacklist") else "@")
        told = user.types(verb, on, "--json").json
        # then
        assert told == {**({"jobs": [job]} if on == "@" else {"nodes": [on]}), "did": verb}
        if verb not in ("clean", "forget"):
            assert user.types(verb, on).out == ""
        if verb == "drain":
            job = user.types(*CALLS["submit"], "--json").json["job"]
    user.types("whitelist", "localhost")


def test_the_same_verbs_print_text_for_people(other: User) -> None:
    """``@`` is the last job in all of them."""
    for name, call in CALLS.items():
        seen = other.types(*call)
        assert seen.out or name in ("failures", "purge")
        assert not seen.out.startswith(("{", "["))
