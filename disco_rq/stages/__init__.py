"""A map over its inputs, a reduce over its sources. No Redis, no RQ, no network of its own.

``work`` runs one of either; ``mapping`` and ``reducing`` call the job's functions, ``external`` its programs.
"""

from disco_rq.stages.taskwork import TaskWork
from disco_rq.stages.work import run_map, run_reduce

__all__ = ["TaskWork", "run_map", "run_reduce"]
