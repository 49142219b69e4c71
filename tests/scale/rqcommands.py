"""What RQ's worker sends beside ours: the commands of a real worker, as MONITOR showed them."""

from __future__ import annotations

import time
from typing import Any

from disco_rq.store import keys

Commands = list[tuple[Any, ...]]

NOW = "2026-11-24T03:05:39.396612Z"
EXECUTION = "6a65904367644eb3817862d381c4453a"


def at_the_start(node: str, worker: str, batch: str) -> Commands:
    """Of a batch that is not through at once."""
    job, mine = f"rq:job:{batch}", f"rq:worker:{worker}"
    running = f"{batch}:{EXECUTION}"
    queue = keys.rq_list(node)
    return [
        ("MULTI",),
        ("HSET", f"rq:execution:{running}", "id", EXECUTION, "job_id", batch, "created_at", NOW),
        ("EXPIRE", f"rq:execution:{running}", 70),
        ("ZADD", f"rq:executions:{batch}", int(time.time()) + 130, EXECUTION),
        ("EXPIRE", f"rq:executions:{batch}", 130),
        ("ZADD", f"rq:wip:{keys.queue(node)}", int(time.time()) + 70, running),
        ("SADD", f"{mine}:executions", running),
        ("EXPIRE", f"{mine}:executions", 130),
        ("HSET", mine, "state", "busy"),
        ("EXEC",),
        ("MULTI",),
        ("HSET", mine, "last_heartbeat", NOW),
        ("EXPIRE", mine, 70),
        ("EXPIRE", f"{mine}:executions", 70),
        ("HSET", job, "last_heartbeat", NOW),
        ("HSET", job, "last_heartbeat", NOW, "status", "started", "started_at", NOW, "worker_name", worker),
        ("PERSIST", job),
        ("LREM", f"{queue}:intermediate", 1, batch),
        ("EXEC",),
        ("DEL", f"{queue}:intermediate:first_seen:{batch}"),
        ("HGET", keys.JobKeys(batch).job, "status"),
    ]


def at_the_end(node: str, worker: str, batch: str) -> Commands:
    """Of every batch."""
    job, mine = f"rq:job:{batch}", f"rq:worker:{worker}"
    running = f"{batch}:{EXECUTION}"
    queue = keys.rq_list(node)
    return [
        ("MULTI",),
        ("LREM", f"{queue}:intermediate", 1, batch),
        ("DEL", f"{queue}:intermediate:first_seen:{batch}"),
        ("HINCRBY", mine, "successful_job_count", 1),
        ("HINCRBYFLOAT", mine, "total_working_time", 0.95),
        ("HSET", job, "status", "finished"),
        ("HSET", job, "created_at", NOW, "origin", keys.queue(node), "ended_at", NOW, "worker_name", worker),
        ("XADD", f"rq:results:{batch}", "MAXLEN", "~", 10, "*", "type", 1, "worker_name", worker),
        ("EXPIRE", f"rq:results:{batch}", 60),
        ("ZADD", f"rq:finished:{keys.queue(node)}", int(time.time()) + 60, batch),
        ("EXPIRE", job, 60),
        ("EXPIRE", f"{job}:dependents", 60),
        ("EXPIRE", f"rq:job::{batch}:dependencies", 60),
        ("DEL", f"rq:execution:{running}"),
        ("ZREM", f"rq:wip:{keys.queue(node)}", running),
        ("ZREM", f"rq:executions:{batch}", EXECUTION),
        ("SREM", f"{mine}:executions", running),
        ("EXEC",),
        ("HSET", mine, "state", "idle"),
        ("MULTI",),
        ("HSET", mine, "last_heartbeat", NOW),
        ("EXPIRE", mine, 80),
        ("EXPIRE", f"{mine}:executions", 80),
        ("EXISTS", "rq:suspended"),
        ("EXEC",),
    ]


def beside_a_renewal(node: str, worker: str) -> Commands:
    """Every two seconds, of every worker."""
    return [
        ("SMEMBERS", keys.purges(node)),
        ("LPOP", keys.wake(node)),
        ("HSET", f"rq:worker:{worker}", "last_heartbeat", NOW),
    ]
