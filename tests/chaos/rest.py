"""What a round must leave: a whole cluster, and nothing of its jobs: no key, no file, no process."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from disco_rq import DiscoError, Job
from disco_rq.outputs.datadir import TMP, DataDir
from disco_rq.store.queues import node_queue
from tests.chaos import litter
from tests.nodes import NodeCluster, send

WHOLE_S = 60.0
GONE_S = 40.0
"""For how long something may be left: RQ is searched for what remains of a purged job for a quarter of it."""
LEFT_ALONE_S = 10.0
RECORDS = ("disco:job:*", "disco:leases", "disco:active", "disco:jobs", "disco:purges:*")


def wait_whole(cluster: NodeCluster, slots: int, go_on: Callable[[], None]) -> str:
    """ "" once every node has all its workers and a master leads; else what is amiss.

    ``go_on`` is called meanwhile.
    """

    def amiss() -> str:
        go_on()
        if not cluster.connection.redis.exists("disco:leader"):
            return "no master leads"
        for name, node in cluster.nodes.items():
            found = cluster.slots(name), len(node.workers())
            if found != (slots, slots):
                return f"node {name} has {found} (slots, workers), not {slots}"
        return ""

    return _until_none(amiss, WHOLE_S)


def processes_left(directory: Path, mark: str) -> tuple[str, int]:
    """What is wrong, and how many processes in sessions of their own were ended here.

    Those of the tasks' own sessions the cluster ends.
    """
    told = _until_none(
        lambda: " ".join(str(one.process) for one in litter.left(directory, mark)), LEFT_ALONE_S
    )
    found = litter.left(directory, mark)
    for process, _ in found:
        send(process, signal.SIGKILL)
    own = [process for process, has_own_session in found if has_own_session]
    return (f"processes of tasks are left: {told}" if len(found) > len(own) else ""), len(own)


def records_left(cluster: NodeCluster, jobs: Sequence[Job]) -> str:
    """Purge the jobs; what of them is there after that."""
    for job in jobs:
        try:
            job.purge()
        except DiscoError as error:
            return f"{job.name} cannot be purged: {error}"
    return _until_none(lambda: _keys_left(cluster) or _files_left(cluster) or _batches_left(cluster), GONE_S)


def _keys_left(cluster: NodeCluster) -> str:
    redis: Any = cluster.connection.redis
    found = [key.decode() for pattern in RECORDS for key in redis.scan_iter(pattern, count=1000)]
    return f"keys are left: {found}" if found else ""


def _batches_left(cluster: NodeCluster) -> str:
    """RQ's records of batches that nobody would ever find and delete: those of killed workers wait, for some
    minutes, in a registry that RQ goes through.
    """
    redis: Any = cluster.connection.redis
    known: set[str] = set()
    for name in cluster.nodes:
        queue = node_queue(redis, name)
        lists = (queue.key, queue.intermediate_queue_key)
        registries = (queue.started_job_registry, queue.failed_job_registry, queue.finished_job_registry)
        members = [member for key in lists for member in redis.lrange(key, 0, -1)]
        members += [member for registry in registries for member in redis.zrange(registry.key, 0, -1)]
        known |= {member.decode().partition(":")[0] for member in members}
    found = [key.decode() for key in redis.scan_iter("rq:job:*", count=1000) if redis.ttl(key) == -1]
    lost = [key for key in found if key.removeprefix("rq:job:") not in known]
    return f"RQ keeps what nobody knows: {lost}" if lost else ""


def _files_left(cluster: NodeCluster) -> str:
    for name in cluster.nodes:
        data = DataDir(cluster.data(name))
        if jobs := data.jobs():
            return f"node {name} has files of {jobs}"
        for entry in (data.root / TMP).iterdir():
            pid = re.search(r"\.(\d+)(?:\.\w+)?$", entry.name)
            if not pid or not psutil.pid_exists(int(pid[1])):
                return f"node {name} has {entry.name} of a process that is gone"
    return ""


def _until_none(find: Callable[[], str], timeout_s: float) -> str:
    """ "" as soon as ``find`` gives that; else what it gave last."""
    deadline = time.monotonic() + timeout_s
    while found := find():
        if time.monotonic() > deadline:
            return found
        time.sleep(0.05)
    return ""
