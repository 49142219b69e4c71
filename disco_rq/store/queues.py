"""What RQ keeps of our batches, beside their places in lists."""

from __future__ import annotations

from redis import Redis
from rq.executions import ExecutionRegistry
from rq.job import Job
from rq.results import Result

__all__ = ["delete_batch"]


def delete_batch(redis: Redis, batch_id: str) -> None:
    """Delete it. RQ's own ``Job.delete`` raises, and so ends a master or worker, where somebody else deletes
    the same just now, or a part of it has expired.
    """
    executions = ExecutionRegistry.key_template.format(batch_id)
    redis.delete(Job.key_for(batch_id), Result.get_key(batch_id), executions)
