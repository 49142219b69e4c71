"""What a cluster at rest takes: one sample of every figure that must not grow."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.nodes import NodeCluster, Part, marked


def take(cluster: NodeCluster, leader: Part, followed: Part, files: Sequence[Path]) -> dict[str, float]:
    """``followed``: the node whose processes live on; ``files``: where files are counted."""
    redis: Any = cluster.connection.redis
    processes = list(marked(cluster.mark))
    workers = followed.workers()
    node = followed.processes()[0]
    server = next(child for child in node.children() if child not in workers)
    figures: dict[str, float] = {
        "Redis keys": redis.dbsize(),
        "Redis memory": redis.info("memory")["used_memory"],
        "Redis clients": redis.info("clients")["connected_clients"],
        "files": sum(1 for directory in files for path in directory.rglob("*") if path.is_file()),
        "processes": len(processes),
        "threads": sum(process.num_threads() for process in processes),
        "open files": sum(process.num_fds() for process in processes),
        "master threads": psutil.Process(leader.pid).num_threads(),
    }
    of: dict[str, Iterable[psutil.Process]] = {
        "master": [psutil.Process(leader.pid)],
        "node": [node],
        "data server": [server],
        "worker": workers,
        "Redis process": [psutil.Process(cluster.redis_pid)],
        "client": [psutil.Process()],
    }
    for name, members in of.items():
        figures[f"{name} memory"] = max(member.memory_info().rss for member in members)
        figures[f"{name} open files"] = max(member.num_fds() for member in members)
    return figures


def families(cluster: NodeCluster) -> Counter[str]:
    """How many keys of each kind Redis has: names of jobs, workers and batches are left out."""
    kinds: Counter[str] = Counter()
    for key in cluster.connection.redis.scan_iter(count=1000):
        name = re.sub(r"\w+[@-]\d{8}-\d{6}-\w{4}", "JOB", key.decode())
        name = re.sub(r"[0-9a-f]{32}|[abc]\.\d+-[0-9a-f]{6}", "…", name)
        kinds[re.sub(r"(JOB)_[-\w]+", r"\1…", name)] += 1
    return kinds
