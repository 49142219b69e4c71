"""The endpoints of the API, all of them, in the order in which the documentation lists them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from disco_rq.views import asked, shapes
from disco_rq.views.bad import bad
from disco_rq.views.checks import checks
from disco_rq.views.cluster import load, nodes, overview
from disco_rq.views.failures import failures
from disco_rq.views.files import download, inputs, preview, results
from disco_rq.views.forecast import pilot
from disco_rq.views.history import events
from disco_rq.views.jobs import job, jobs, spec
from disco_rq.views.oob import oob_download, oob_page, oob_value
from disco_rq.views.pace import pace
from disco_rq.views.partitions import partitions
from disco_rq.views.profile import profile
from disco_rq.views.sources import Sources
from disco_rq.views.story import log, task
from disco_rq.views.tasks import tasks
from disco_rq.views.timeline import timeline
from disco_rq.web.actions import JOB_ACTIONS, NODE_ACTIONS, on_job, on_node, retry
from disco_rq.web.endpoint import Endpoint
from disco_rq.web.metrics import health, metrics
from disco_rq.web.turns import Turns

__all__ = ["API", "endpoints"]

API = "/api/v1"
JOB = f"{API}/jobs/{{job}}"
TASK = f"{JOB}/tasks/{{task}}"

_OF_JOB = ("unknown-job",)
_OF_TASK = (*_OF_JOB, "unknown-task")
_OF_KEY = (*_OF_JOB, "unknown-key")
_OF_BYTES = (*_OF_KEY, "refused")
_OF_ALL_TASKS = (*_OF_JOB, "refused")

QUICK = (f"{API}/overview", f"{API}/nodes", f"{API}/load", JOB, "/metrics", "/healthz")
"""They cost the same for every job; all others wait for their turn."""
FROM_NODES = (preview, download, log, profile, bad)
"""They read files of nodes."""


class Read(NamedTuple):
    """What a visitor may look at; the arguments of an ``Endpoint``, before it has its sources."""

    path: str
    handle: Callable[[Sources, Any], Any]
    parameters: type[asked.Asked]
    answer: Any
    summary: str
    problems: tuple[str, ...] = ()


READS = (
    Read(f"{API}/overview", overview, asked.Asked, shapes.Overview, "The cluster"),
    Read(f"{API}/nodes", nodes, asked.Asked, shapes.Nodes, "The nodes"),
    Read(f"{API}/load", load, asked.Asked, shapes.Load, "The last hour of the cluster"),
    Read(f"{API}/jobs", jobs, asked.OfJobs, shapes.Jobs, "Jobs, searched, sorted, by page"),
    Read(JOB, job, asked.OfJob, shapes.Job, "A job in numbers", _OF_JOB),
    Read(f"{JOB}/spec", spec, asked.OfJob, shapes.Spec, "A job as submitted", _OF_JOB),
    Read(f"{JOB}/tasks", tasks, asked.OfTasks, shapes.Tasks, "Tasks, by page", _OF_ALL_TASKS),
    Read(TASK, task, asked.OfTask, shapes.TaskStory, "A task and its attempts", _OF_TASK),
    Read(f"{TASK}/log", log, asked.OfLog, shapes.Log, "What it printed", (*_OF_TASK, "unreadable")),
    Read(
        f"{JOB}/timeline", timeline, asked.OfTimeline, shapes.Timeline, "When what ran where", _OF_ALL_TASKS
    ),
    Read(f"{JOB}/pace", pace, asked.OfJob, shapes.Pace, "How fast its phases go", _OF_ALL_TASKS),
    Read(f"{JOB}/partitions", partitions, asked.OfJob, shapes.Partitions, "Sizes of partitions", _OF_JOB),
    Read(
        f"{JOB}/profile",
        *(profile, asked.OfProfile, shapes.Profile, "Where the time of its tasks went"),
        (*_OF_JOB, "unreadable"),
    ),
    Read(f"{JOB}/failures", failures, asked.OfJob, shapes.Failures, "Failures by cause", _OF_JOB),
    Read(f"{JOB}/bad", bad, asked.OfJobPage, shapes.BadPage, "Entries left out, by page", _OF_JOB),
    Read(f"{JOB}/pilot", pilot, asked.OfJob, shapes.Pilot, "What its pilot tells of the rest", _OF_JOB),
    Read(f"{JOB}/checks", checks, asked.OfJobPage, shapes.Checks, "Maps that run twice, by page", _OF_JOB),
    Read(f"{JOB}/inputs", inputs, asked.OfJobPage, shapes.Inputs, "Inputs, by page", _OF_JOB),
    Read(f"{JOB}/results", results, asked.OfJobPage, shapes.Results, "Results, by page", _OF_JOB),
    Read(
        f"{JOB}/results/{{index}}/preview",
        *(preview, asked.OfPreview, shapes.Preview, "First records of a result"),
        (*_OF_JOB, "not-found"),
    ),
    Read(
        f"{JOB}/results/{{index}}/download",
        *(download, asked.OfResult, "application/octet-stream", "A result as lines of text"),
        (*_OF_JOB, "not-found", "refused", "unreadable"),
    ),
    Read(f"{JOB}/oob", oob_page, asked.OfOOB, shapes.OOBPage, "OOB results, by page", _OF_JOB),
    Read(f"{JOB}/oob/{{key}}", oob_value, asked.OfKey, shapes.OOBValue, "An OOB result", _OF_BYTES),
    Read(
        f"{JOB}/oob/{{key}}/download",
        *(oob_download, asked.OfKey, "application/octet-stream", "An OOB result itself", _OF_BYTES),
    ),
    Read(f"{JOB}/events", events, asked.OfEvents, shapes.Events, "History, by page", _OF_JOB),
    Read("/metrics", metrics, asked.Asked, "text/plain", "For Prometheus"),
    Read("/healthz", health, asked.Asked, "application/json", "Whether the cluster works"),
)


def endpoints(sources: Sources) -> list[Endpoint]:
    """Whatever a visitor may ask, answered from these sources."""
    # A node that does not answer holds up nobody who asks about what Redis knows.
    of_redis, of_nodes = Turns(), Turns()

    def turns_of(read: Read) -> Turns | None:
        if read.path in QUICK:
            return None
        return of_nodes if read.handle in FROM_NODES else of_redis

    reads = [
        Endpoint(read.path, partial(read.handle, sources), *read[2:], turns=turns_of(read)) for read in READS
    ]
    acts = [
        Endpoint(
            f"{JOB}/{action}",
            partial(on_job, sources, action),
            *(asked.OfJob, shapes.Done, f"{action.capitalize()} a job"),
            problems=(*_OF_JOB, "refused"),
            method="POST",
        )
        for action in JOB_ACTIONS
    ]
    acts += [
        Endpoint(
            f"{JOB}/retry",
            partial(retry, sources),
            *(asked.OfJob, shapes.Retried, "Go on with a dead job as a new one"),
            problems=(*_OF_JOB, "refused"),
            method="POST",
        ),
    ]
    acts += [
        Endpoint(
            f"{API}/nodes/{{node}}/{action}",
            partial(on_node, sources, action),
            *(asked.OfNode, shapes.Done, f"{action.capitalize()} a node"),
            problems=("unknown-node",),
            method="POST",
        )
        for action in NODE_ACTIONS
    ]
    return reads + acts
