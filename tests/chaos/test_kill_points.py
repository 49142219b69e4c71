"""Submit, claim, put, rename, commit, fail, phase change: whoever dies right before or after any of their
Redis calls and renames, the job ends right.

See ``deadly``: every step that is ever taken kills the one that takes it, once before and once after it.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, Job, Params, result_iterator
from disco_rq.client.submission import SMALL_BYTES
from disco_rq.func import kvgroup
from disco_rq.runtime import counter, data_err, get, put, this_inputs, this_partition
from tests.chaos import deadly
from tests.cluster.small_jobs import is_first_attempt
from tests.nodes import REPOSITORY, NodeCluster, Part

pytestmark = pytest.mark.timeout(300)  # whoever dies is waited for

NAMES = [f"n{i}" for i in range(8)]
PHASES = ("map", "reduce")
SIZES = {"many": (72, 8), "single": (1, 1), "whole": (1, 1)}
BAD = 24
"""So many maps of them fail, so that others end in batches."""
LAGS, LONG_S = 30, 20.0
"""One map, and one reduce, takes so long in its first attempt that a copy overtakes it."""
DEADLINE_S = 240.0


def map_words(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """Every third of some tasks fails in its first attempt: gives up, or loses its process. One lags. Each
    has a bad line.
    """
    put(f"map:{this_partition()}{line[:3] if line.startswith('bad') else ''}", line)
    counter("lines")
    if line.startswith("bad"):
        yield line, 1
        raise ValueError(line)
    bad = this_partition() < BAD
    if bad and this_partition() % 3 == 1 and is_first_attempt(f"{params.directory}/map-{this_partition()}"):
        data_err("this once")
    if params.lags and this_partition() == LAGS and is_first_attempt(f"{params.directory}/map-lags"):
        time.sleep(LONG_S)
    if bad and this_partition() % 6 == 2 and is_first_attempt(f"{params.directory}/map-{this_partition()}"):
        os.kill(os.getpid(), signal.SIGKILL)
    for word in line.split():
        yield word, 1


def reduce_words(pairs: Any, params: Any) -> Iterator[tuple[str, int]]:
    put(f"reduce:{this_partition()}", get("map:0"))
    if this_partition() == 1 and is_first_attempt(f"{params.directory}/reduce"):
        data_err("this once")
    if params.lags and this_partition() == 2 and is_first_attempt(f"{params.directory}/lagging"):
        time.sleep(LONG_S)
    for word, ones in kvgroup(pairs):
        counter("different")
        yield word, sum(ones)


def map_otherwise(line: str, params: Any) -> Iterator[tuple[str, int]]:
    """Each run of it gives, puts and counts something of its own."""
    run = secrets.token_hex(4)
    put("run", run)
    put(f"of:{run}", line)
    counter(run)
    yield run, 1


def reduce_one_answer(pairs: Any, params: Any) -> Iterator[tuple[str, Any]]:
    """The first attempt reads what the map gave, and then its output is lost."""
    run = get("run")
    if is_first_attempt(f"{params}/reduce"):
        data_err("cannot be read", this_inputs()[0])
    for key, _ in pairs:
        yield key, (run, get(f"of:{key}"))


def submit_otherwise(disco: Disco, directory: Path) -> Job:
    """``otherwise``: a job whose map is made again, and comes back different."""
    directory.mkdir(exist_ok=True)
    return disco.new_job(
        "otherwise",
        ["raw://line"],
        map=map_otherwise,
        reduce=reduce_one_answer,
        nr_reduces=1,
        params=str(directory),
        max_failures=1000,
    )


def assert_one_answer(job: Job, timeout_s: float) -> None:
    """Pairs, OOB results and counters are those of one run of the map."""
    [(run, of_reduce)] = result_iterator(job.wait(timeout=timeout_s))
    assert of_reduce == (run, "line")
    assert {key: job.oob_get(key) for key in job.oob_list()} == {"run": run, f"of:{run}": "line"}
    assert job.jobinfo()["counters"] == {run: 1}


def lines_of(maps: int) -> list[str]:
    return [f"a b{i % 5} c{i}" for i in range(maps)]


def submit(disco: Disco, name: str, directory: Path, *, lags: bool = True) -> Job:
    """``many``: a job of many tasks. ``single``: of one map and one reduce, so each commit ends a phase.
    ``whole``: the same, but it reads so little that one batch has both.
    ``lags``: some tasks do, which takes more than one node.
    """
    directory.mkdir(exist_ok=True)
    maps, reduces = SIZES[name]
    length = 1 if name == "whole" else SMALL_BYTES
    return disco.new_job(
        name,
        [f"raw://{f'bad {i}':{length}}\n{line}" for i, line in enumerate(lines_of(maps))],
        map=map_words,
        max_bad=maps,
        reduce=reduce_words,
        sort=True,
        nr_reduces=reduces,
        max_failures=1000,
        params=Params(directory=str(directory), lags=lags),
    )


def assert_right(job: Job, timeout_s: float) -> None:
    nr_maps, nr_reduces = SIZES[job.name.partition("@")[0]]
    lines = lines_of(nr_maps)
    counts = Counter(" ".join(lines).split())
    assert sorted(result_iterator(job.wait(timeout=timeout_s))) == sorted(counts.items())
    maps = {f"map:{i}": line for i, line in enumerate(lines)}
    reduces = {f"reduce:{i}": lines[0] for i in range(nr_reduces)}
    assert {key: job.oob_get(key) for key in job.oob_list()} == maps | reduces
    info = job.jobinfo()
    assert info["counters"] == {"lines": nr_maps, "different": len(counts)}
    assert info["bad"] == nr_maps
    left_out = [(bad.task, bad.entry.rstrip()) for bad in job.bad_entries()]
    assert left_out == [(f"map:{i}", f"bad {i}") for i in range(nr_maps)]
    assert (info["mapi"][:3], info["redi"][:3]) == ([0, 0, nr_maps], [0, 0, nr_reduces])


def run_jobs_until_nobody_dies(cluster: NodeCluster, marks: Path, scratch: Path, *steps: str) -> None:
    """Job after job, each of which must end right, until nobody dies any more, and somebody did at each of
    these steps.
    """
    deadline = time.monotonic() + DEADLINE_S

    def run_jobs(number: int) -> None:
        jobs = [submit(cluster.disco, name, scratch / f"{name}{number}") for name in SIZES]
        jobs.append(submit_otherwise(cluster.disco, scratch / f"otherwise{number}"))
        try:
            for job in jobs[:-1]:
                assert_right(job, deadline - time.monotonic())
            assert_one_answer(jobs[-1], deadline - time.monotonic())
        except BaseException:
            print(*deadly.deaths(marks), sep="\n")
            print(*(message for job in jobs for _, (_, _, message) in job.events()), sep="\n")
            print(cluster.said())
            raise

    deadly.run_until_nobody_dies(marks, run_jobs, *steps)


def deadly_part(cluster: NodeCluster, marks: Path, program: str, *names: str) -> Part:
    """Start deadly programs in the cluster."""
    marks.mkdir()
    return cluster.program(f"deadly-{program}", ["tests.chaos.deadly", str(marks), program, *names])


def test_nodes_workers_and_horses_may_die_at_each_of_their_steps(nodes: NodeCluster, tmp_path: Path) -> None:
    # given a good master and nodes that die at every step
    nodes.master()
    deadly_part(nodes, tmp_path / "marks", "nodes", *NAMES)
    # when jobs run in which tasks succeed, fail and lose their process, then all of them end right
    run_jobs_until_nobody_dies(
        nodes,
        tmp_path / "marks",
        tmp_path,
        *(f"horse: script claim_attempts of {phase} of {job}" for phase in PHASES for job in SIZES),
        *(f"horse: script put_oob of {phase} of {job}" for phase in PHASES for job in SIZES),
        *(f"horse: script take_back_oob of map of {job}" for job in SIZES),
        *(f"horse: script commit_attempts of {phase} of {job}" for phase in PHASES for job in SIZES),
        *(f"horse: script fail_attempt of {phase} of many" for phase in PHASES),
        "horse: script lose_output of map of otherwise",
        "horse: script commit_attempts again of map of otherwise",
        *("worker: script fail_attempt of map of many", "horse: rename", "horse: link"),
        *("leases: script renew_leases", "worker: script renew_leases"),
    )


def test_masters_may_die_at_each_of_their_steps(nodes: NodeCluster, tmp_path: Path) -> None:
    # given good nodes and a master that dies at every step
    for name in NAMES[:2]:
        nodes.node(name, slots=2)
    deadly_part(nodes, tmp_path / "marks", "master", "token")
    # when jobs run through both phases, then all of them end right
    run_jobs_until_nobody_dies(
        nodes,
        tmp_path / "marks",
        tmp_path,
        *("master: script lead_cluster", "master: XREAD", "master: SMEMBERS disco:active"),
        *(
            f"master: [script assign_tasks of {phase} of {job}"
            for phase in PHASES
            for job in ("many", "single")
        ),
        "master: [script assign_tasks of map of whole",
        *(f"master: [script assign_copy of {phase} of many" for phase in PHASES),
    )


def test_a_client_may_die_at_each_step_of_its_submit(nodes: NodeCluster, tmp_path: Path) -> None:
    # given a good cluster
    nodes.master()
    nodes.node("good", slots=2)
    nodes.wait_ready()
    (tmp_path / "marks").mkdir()
    # when a client dies at every step of its submit, and tries again until it gets through
    status, lives = -signal.SIGKILL, 0
    while status == -signal.SIGKILL:
        lives += 1
        command = [sys.executable, "-m", "tests.chaos.test_kill_points", nodes.url, str(tmp_path)]
        status = subprocess.run(command, cwd=REPOSITORY, env=nodes.environment, check=False).returncode
    assert status == 0
    deadly.assert_died(tmp_path / "marks", "client: script submit_job of many")
    # then every job of which there is anything ends right, and of the others there is nothing
    listed = nodes.disco.joblist()
    assert 1 < len(listed) < lives
    for _, _, name in listed:
        assert_right(nodes.disco.job(name), DEADLINE_S)
    known = {name.encode() for _, _, name in listed}
    keys: Any = nodes.connection.redis.keys("disco:job:*")
    assert {key.split(b":")[2] for key in keys} == known


if __name__ == "__main__":  # the client that dies
    scratch = Path(sys.argv[2])
    deadly.Steps(scratch / "marks", lambda: "client").install()
    from tests.chaos import test_kill_points  # the functions of a job are shipped with their module's name

    test_kill_points.submit(Disco(sys.argv[1]), "many", scratch / f"client{os.getpid()}", lags=False)
