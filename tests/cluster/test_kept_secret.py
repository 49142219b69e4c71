"""The secret is not in the environment of what runs tasks, of what it starts, nor of its ancestors; nor is it
in memory that a task can read, and no more of what is derived from it than its own job takes.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from disco_rq import Disco, JobError, result_iterator
from disco_rq.outputs.wire import data_keys, keys_of_job
from disco_rq.packing import JobSeal
from tests.cluster.conftest import wait_until
from tests.cluster.test_plain_worker import plain_worker
from tests.nodes import NodeCluster, Part

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


def search_memory(line: str, backwards: str) -> Iterator[tuple[str, str]]:
    """Where the secret is: in whatever Python can reach from here, and in the memory of the ancestors. And
    the digest of each 32 bytes that there are, as keys would be.
    """
    needle = backwards[::-1]
    needles = (needle, needle.encode())
    left: list[Any] = [*gc.get_objects(), *sys.modules.values(), *sys._current_frames().values()]
    seen = {id(needle), id(needles[1]), id(left)}
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, str) and needles[0] in one:
            yield "memory", one
        elif isinstance(one, bytes | bytearray) and needles[1] in one:
            yield "memory", repr(one)
        elif type(one) is bytes and len(one) == 32:
            yield "key", sha256(one).hexdigest()
        elif isinstance(one, FrameType):
            left += [one.f_back, *one.f_locals.values()]
        left += gc.get_referents(one)
    pid = os.getppid()
    while pid > 1 and "pytest" not in Path(f"/proc/{pid}/cmdline").read_text():
        yield "ancestor", str(pid)
        yield "memory is open", str(is_open(pid))
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_open(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/mem", "rb"):
            return True
    except PermissionError:
        return False


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


def unprivileged_node(nodes: NodeCluster) -> None:
    """One whose processes may not read those of others, as a user's that is not root."""
    prefix = (
        [*("setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace")] if os.geteuid() == 0 else []
    )
    arguments = ["disco_rq.cli", "node", "--node", "n1", "--slots", "1", "--data", str(nodes.data("n1"))]
    nodes.nodes["n1"] = Part("n1", arguments, nodes, prefix=prefix)
    nodes.wait_ready()


@pytest.mark.usefixtures("secret")
@pytest.mark.parametrize("given_by", ["variable", "file", "two keys", "plain worker"])
def test_no_task_finds_the_secret_in_memory(nodes: NodeCluster, given_by: str, tmp_path: Path) -> None:
    nodes.environment["DISCO_RQ_SECRET"] = f"older, {SECRET}" if given_by == "two keys" else SECRET
    if given_by == "file":
        (tmp_path / "secret").write_text(f"{SECRET}\n")
        nodes.environment["DISCO_RQ_SECRET_FILE"] = str(tmp_path / "secret")
        del nodes.environment["DISCO_RQ_SECRET"]
    nodes.master()
    if given_by == "plain worker":
        plain_worker(nodes)
        wait_until(lambda: nodes.slots("plain") == 1)
    else:
        unprivileged_node(nodes)
    with Disco(nodes.url) as disco:
        job = disco.new_job("search", ["raw://a"], map=search_memory, params=SECRET[::-1])
        found = list(result_iterator(job.wait(timeout=60)))
        cluster = disco.session.signer().cluster
    # then it is nowhere
    assert [where for what, where in found if what == "memory"] == []
    # and of the keys that are derived there is the one of the job's files, and none that opens or signs more
    keys = {digest for what, digest in found if what == "key"}
    server_keys = data_keys(SECRET.encode())
    others = [*server_keys, *JobSeal(job.name, SECRET.encode(), cluster)._keys]
    assert sha256(keys_of_job(server_keys, job.name)[0]).hexdigest() in keys
    assert [key for key in others if sha256(key).hexdigest() in keys] == []
    # and the memory of the programs above is closed
    assert len([pid for what, pid in found if what == "ancestor"]) >= (1 if given_by == "plain worker" else 2)
    if given_by != "plain worker":
        assert {told for what, told in found if what == "memory is open"} == {"False"}
