"""A job of 200 maps that dies at the 150th is looked at, mended, and goes on, at a command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from disco_rq import Disco, Job, JobError, result_iterator
from disco_rq.client.embedded import EmbeddedCluster
from tests.cluster.user import User

PROGRAM = """
from disco_rq.func import kvgroup

nr_reduces = 4
sort = True
scheduler = {"max_cores": 1}


def map(line, params):
    key, value = line.split()
    put(f"line:{key}", line)
    counter("lines")
    yield int(key) % 10, CONVERT(value)


def reduce(pairs, params):
    put(f"sum:{this_partition()}", get("line:0"))
    for key, values in kvgroup(pairs):
        counter("keys")
        yield key, sum(values)
"""
MAPS, BAD, ILL = 200, 150, "200 0.5"


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    cluster = EmbeddedCluster(2)
    try:
        yield cluster.url
    finally:
        cluster.close()


@pytest.fixture
def user(tmp_path: Path, cluster: str) -> User:
    (tmp_path / "sums.py").write_text(PROGRAM.replace("CONVERT", "int"))
    (tmp_path / "mended.py").write_text(PROGRAM.replace("CONVERT", "float"))
    (tmp_path / "lines").mkdir()
    for i in range(MAPS):
        (tmp_path / "lines" / f"{i:03}").write_text(f"{i} {i}\n")
    (tmp_path / "lines" / f"{BAD - 1:03}").write_text(f"{BAD - 1} 1\n{ILL}\n{MAPS + 1} 2\n")
    return User(tmp_path, cluster)


def left_by(job: Job) -> object:
    info = job.jobinfo()
    return (
        sorted(result_iterator(job.wait(timeout=60))),
        {key: job.oob_get(key) for key in job.oob_list()},
        *(info[what] for what in ("counters", "mapi", "redi", "entries", "records", "bad")),
    )


def looks_at_the_task(user: User, task: str) -> None:
    """In the debugger, which stops in the frame that has raised."""
    with user.at_a_terminal("replay", "@", task, "--pdb") as terminal:
        told = terminal.shows("(Pdb) ")
        assert f"in entry 2 of {user.home}/lines/{BAD - 1:03}" in told
        assert "sums.py(13)map()" in told
        terminal.types("p line, value, int(key) % 10")
        assert f"('{ILL}', '0.5', 0)" in terminal.shows("(Pdb) ")
        terminal.types("q")
        told, status = terminal.ends()
    assert f"{task}: it fails as {task}/1 did" in told
    assert status == 1


def test_a_job_that_dies_at_its_150th_map_is_looked_at_mended_and_runs_the_rest(
    user: User, cluster: str
) -> None:
    [name] = user.types("submit", "sums.py", "lines/*").lines
    with Disco(cluster) as disco:
        with pytest.raises(JobError, match="invalid literal for int"):
            disco.wait(name, timeout=60)
        assert disco.jobinfo(name)["mapi"][2] == BAD - 1

        looks_at_the_task(user, f"map:{BAD - 1}")
        seen = user.types("retry", "@", "--with", "mended.py")
        assert seen.err == f"{BAD - 1} tasks are kept of {name}\n"
        job = disco.job(seen.lines[0])
        job.wait(timeout=60)

        # 51 maps and the reduces were run, and nothing differs from a clean run
        run = [task for task in range(MAPS) if "of" not in job.story(f"map:{task}")[-1]]
        assert run == list(range(BAD - 1, MAPS))
        clean = disco.job(user.types("submit", "mended.py", "lines/*").lines[0])
        clean.wait(timeout=60)
        assert left_by(job) == left_by(clean)

        # both tell of each other
        assert f"{name}, {BAD - 1} tasks kept" in user.types("info", job.name).out
        assert job.name in user.types("info", name).out
        assert job.name in user.types("events", name).out


def test_files_that_were_mended_are_named_again(user: User, cluster: str) -> None:
    [name] = user.types("submit", "sums.py", "lines/*").lines
    with Disco(cluster) as disco:
        with pytest.raises(JobError):
            disco.wait(name, timeout=60)
        (user.home / "lines" / f"{BAD - 1:03}").write_text("149 7\n")

        told = user.types("retry", name, "lines/*", "--json").json

        assert (told["retry_of"], told["kept"]) == (name, BAD - 1)
        assert len(disco.wait(told["job"], timeout=60)) == 4


def test_a_job_that_is_not_dead_is_refused_in_one_line(user: User) -> None:
    [name] = user.types("submit", "mended.py", "lines/00*").lines
    user.types("wait", "@", "-q")

    seen = user.types("retry", name, status=1)

    assert (
        seen.err
        == f"disco-rq: job {name} is ready, and only a dead job is tried again: there is nothing left to do\n"
    )
