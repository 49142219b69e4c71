"""What one may do to jobs and nodes."""

from __future__ import annotations

from collections.abc import Callable

from disco_rq import Disco
from disco_rq.views import shapes
from disco_rq.views.asked import OfJob, OfNode
from disco_rq.views.problem import Problem
from disco_rq.views.sources import Sources

__all__ = ["JOB_ACTIONS", "NODE_ACTIONS", "on_job", "on_node", "retry"]

JOB_ACTIONS: dict[str, Callable[[Disco, str], None]] = {
    "kill": Disco.kill,
    "pause": Disco.pause,
    "resume": Disco.resume,
    "clean": Disco.clean,
    "purge": Disco.purge,
}
NODE_ACTIONS: dict[str, Callable[[Disco, str], None]] = {
    "blacklist": Disco.blacklist,
    "whitelist": Disco.whitelist,
    "drain": Disco.drain,
    "forget": Disco.forget,
}


def on_job(sources: Sources, action: str, asked: OfJob) -> shapes.Done:
    sources.view.head(asked.job)
    JOB_ACTIONS[action](sources.disco, asked.job)
    return shapes.Done()


def retry(sources: Sources, asked: OfJob) -> shapes.Retried:
    """With the functions and arguments that it has."""
    sources.view.head(asked.job)
    job = sources.disco.retry(asked.job)
    return shapes.Retried(job.name, sources.jobs.record(job.name).count("kept"))


def on_node(sources: Sources, action: str, asked: OfNode) -> shapes.Done:
    if asked.node not in sources.view.node_names():
        raise Problem("unknown-node", f"unknown node {asked.node!r}")
    NODE_ACTIONS[action](sources.disco, asked.node)
    return shapes.Done()
