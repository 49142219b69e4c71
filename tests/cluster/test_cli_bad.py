"""Bad entries at the command line: how many a job may have, and which they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq import Disco
from disco_rq.client.embedded import EmbeddedCluster
from tests.cluster.user import User

PROGRAM = """
def map(line, params):
    if line == "skip":
        skip_entry({"line": line}, "not\\twanted")
    yield int(line) % 3, 1
"""
LINES = "".join(f"{i}\n" for i in range(96)) + "x\nskip\n9z\n\n"


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
    (tmp_path / "lines").write_text(LINES)
    return User(tmp_path, cluster)


@pytest.mark.parametrize("allowed", ["4", "0.04", "4%", "100"])
def test_so_many_may_be_bad(user: User, allowed: str) -> None:
    seen = user.types("run", "p.py", "--max-bad", allowed, "lines")

    assert len(seen.lines) == 96
    assert "bad entries left out 4" in seen.err


@pytest.mark.parametrize("allowed", ["3", "0.03", "3%"])
def test_one_more_leaves_with_1_and_the_causes(user: User, allowed: str) -> None:
    seen = user.types("run", "p.py", "--max-bad", allowed, "lines", status=1)

    assert "too many bad entries: 4" in seen.err
    assert "lines, byte 278" in seen.err
    assert len(user.types("bad", "@").rows) == 4


@pytest.mark.parametrize("wrong", ["many", "-1%", "100%", "1.5"])
def test_what_is_no_number_of_entries_is_refused(user: User, wrong: str) -> None:
    seen = user.types("run", "p.py", f"--max-bad={wrong}", "lines", status=2 if wrong == "many" else 1)

    assert "it takes a" in seen.err


def test_the_bad_entries_are_listed(user: User) -> None:
    user.types("submit", "p.py", "--max-bad", "4", "lines")
    user.types("wait", "@")

    seen = user.types("bad", "@")

    assert seen.lines[0].split("\t") == ["task", "number", "offset", "url", "error", "entry"]
    path = str(user.home / "lines")
    error = "ValueError: invalid literal for int() with base 10: "
    assert seen.rows == [
        ["map:0", "97", "278", path, f"{error}'x'", "x"],
        ["map:0", "98", "280", path, "not\\twanted", "{'line': 'skip'}"],
        ["map:0", "99", "285", path, f"{error}'9z'", "9z"],
        ["map:0", "100", "288", path, f"{error}''", ""],
    ]
    assert ["bad entries left out", "4"] in user.types("info", "@").rows
    first, second, *_ = user.types("bad", "@", "--json").json
    assert list(first) == ["task", "url", "offset", "number", "entry", "error", "traceback"]
    assert "in map" in first["traceback"]
    assert second["entry"] == {"line": "skip"}
    assert user.types("info", "@", "--json").json["bad"] == 4


def test_of_a_job_without_any_there_is_none(user: User) -> None:
    (user.home / "lines").write_text("1\n")
    user.types("run", "p.py", "lines")

    assert user.types("bad", "@").rows == []
    assert user.types("bad", "@", "--json").json == []
    assert "unknown job" in user.types("bad", "nothing", status=1).err


def test_those_that_can_be_read_are_printed_where_others_cannot(user: User, cluster: str) -> None:
    user.types("submit", "p.py", "--max-bad", "8", "lines", "lines")
    user.types("wait", "@")
    with Disco(cluster) as disco:
        name = disco.joblist()[0][2]
        [about] = [node for node in disco.nodeinfo()["available"] if node["state"] == "alive"]
        address = f"disco://{about['node']}/{name}/map-0.1"
        path = disco.session.locator.path(address)
    assert path is not None
    path.with_name("map-0.1.bad").unlink()

    seen = user.types("bad", "@", "--json", status=1)

    assert [one["task"] for one in json.loads(seen.out)] == ["map:1"] * 4
    assert "not all bad entries can be read" in seen.err
