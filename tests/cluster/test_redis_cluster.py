"""A cluster of ours on a Redis Cluster: all keys in one slot, whose master may die and change."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis.crc import key_slot

from tests.cluster.conftest import wait_until
from tests.cluster.test_prefix import ask, environment, has_node, running
from tests.rediscluster import RedisCluster
from tests.services import REPOSITORY

pytestmark = pytest.mark.long  # `make long` runs it

PREFIX = "{disco}"
SLOT = key_slot(PREFIX.encode())
PROGRAM = '''
"""Maps that wait for a file."""
import time
from pathlib import Path
from disco_rq.func import sum_combiner, sum_reduce
from disco_rq.runtime import put, this_partition

PLACE = "{place}"
input = [f"raw://{i} word word" for i in range(12)]
combiner, reduce, nr_reduces = sum_combiner, sum_reduce, 2


def map(line, params):
    put(f"line-{this_partition()}", line)
    Path(PLACE, "begun-" + str(this_partition())).touch()
    while this_partition() >= 2 and not Path(PLACE, "go").exists():
        time.sleep(0.01)
    for word in line.split():
        yield word, 1
'''


@pytest.fixture
def servers(short_dir: Path) -> Iterator[RedisCluster]:
    with RedisCluster(short_dir) as servers:
        yield servers


def test_jobs_go_on_through_a_failover_and_a_resharding(servers: RedisCluster, tmp_path: Path) -> None:
    env = environment(servers.url, PREFIX, DISCO_RQ_GRACE="2", PYTHONPATH=str(REPOSITORY))
    node = ["node", "--node", "n1", "--slots", "2", "--data", str(tmp_path / "n1")]
    with (
        running(["disco_rq.cli", "master"], env),
        running(["disco_rq.cli", "master"], env),
        running(["disco_rq.cli", *node], env),
    ):
        wait_until(lambda: has_node(env))
        for name, harm in (("kill", servers.kill_master_of), ("move", servers.move)):
            place = tmp_path / name
            place.mkdir()
            (place / "program.py").write_text(PROGRAM.replace("{place}", str(place)))
            command = [sys.executable, "-m", "disco_rq.cli", "run", "-q", "program.py"]
            with subprocess.Popen(command, env=env, cwd=place, stdout=subprocess.PIPE, text=True) as run:
                wait_until(lambda place=place: len(list(place.glob("begun-*"))) == 4)  # type: ignore[misc]
                # when the keys have another master, in the middle of the job
                harm(SLOT)
                (place / "go").touch()
                said, _ = run.communicate(timeout=90)
            # then the job ends, with the right answer
            assert run.returncode == 0
            assert "word\t24" in said.splitlines()
        assert ask(env, "oob", "list", "@").split() == sorted(f"line-{i}" for i in range(12))


def test_keys_that_would_lie_in_several_slots_are_refused(tmp_path: Path) -> None:
    env = environment("redis+cluster://127.0.0.1:1", "")
    done = subprocess.run(
        [sys.executable, "-m", "disco_rq.cli", "jobs"], env=env, capture_output=True, text=True, timeout=60
    )
    assert "set DISCO_RQ_PREFIX={disco}, with the braces" in done.stderr
    assert done.returncode == 1
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "disco_rq.cli", "jobs"],
        env={**env, "DISCO_RQ_PREFIX": PREFIX},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    assert time.monotonic() - began < 45
