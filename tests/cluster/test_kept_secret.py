"""The secret is not in the environment of what runs tasks, of what it starts, nor of its ancestors."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from disco_rq import Disco, JobError, result_iterator
from tests.cluster.conftest import wait_until
from tests.cluster.test_plain_worker import plain_worker
from tests.nodes import NodeCluster

SECRET = "marked-secret-4714"


def look_around(line: str, params: Any) -> Iterator[tuple[str, bytes]]:
    yield "os.environ", repr(dict(os.environ)).encode()
    yield "child", subprocess.run(["env"], capture_output=True, check=True).stdout
    pid = os.getpid()
    while pid > 1 and os.access(f"/proc/{pid}/environ", os.R_OK):
        name = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        if "pytest" in name:
            break
        yield f"{pid} {name}", Path(f"/proc/{pid}/environ").read_bytes()
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def submits_another(line: str, params: Any) -> Iterator[tuple[str, int]]:
    with Disco(params["redis"]):
        yield line, 1


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCO_RQ_SECRET", SECRET)


def seen_by_a_task(disco: Disco) -> dict[str, bytes]:
    job = disco.new_job("look", ["raw://a"], map=look_around)
    return dict(result_iterator(job.wait(timeout=30)))


def assert_kept(seen: dict[str, bytes], processes: int) -> None:
    assert len(seen) >= 2 + processes, seen.keys()
    assert [where for where, content in seen.items() if SECRET.encode() in content] == []


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("kind", ["node", "plain worker"])
def test_no_task_of_a_cluster_finds_the_secret(nodes: NodeCluster, kind: str) -> None:
    nodes.environment["DISCO_RQ_SECRET"] = SECRET
    nodes.master()
    if kind == "node":
        nodes.node("n1")
        nodes.wait_ready()
    else:
        plain_worker(nodes)
        wait_until(lambda: nodes.slots("plain") == 1)
    with Disco(nodes.url) as disco:
        assert_kept(seen_by_a_task(disco), processes=2 if kind == "plain worker" else 3)
        # and who asks for it is told
        job = disco.new_job("nested", ["raw://a"], map=submits_another, params={"redis": nodes.url})
        with pytest.raises(JobError, match="the secret of this cluster is kept from tasks"):
            job.wait(timeout=30)


@pytest.mark.usefixtures("secret")
def test_no_task_of_an_embedded_cluster_finds_the_secret() -> None:
    with Disco(workers=1) as disco:
        seen = seen_by_a_task(disco)
    assert_kept({where: content for where, content in seen.items() if "-m pytest" not in where}, processes=2)
