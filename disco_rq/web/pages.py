"""The pages: HTML with the data of the API for the first paint; their modules in static/ go on live."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.templating import Jinja2Templates

from disco_rq.machine.escaping import seen
from disco_rq.manual import GROUPS, Page, nearest, page, search
from disco_rq.settings import rq_program
from disco_rq.views import cluster, history, shapes, story
from disco_rq.views import jobs as joblist
from disco_rq.views.asked import Asked, OfEvents, OfJob, OfJobs, OfTask
from disco_rq.views.figures import FILTERS
from disco_rq.web.endpoint import asked_of
from disco_rq.web.login import Forms
from disco_rq.web.manual import shown

__all__ = ["error_page", "page_routes"]

TABS = (
    ("messages", "Messages"),
    ("tasks", "Tasks"),
    ("timeline", "Timeline"),
    ("partitions", "Partitions"),
    ("failures", "Failures"),
    ("bad", "Bad"),
    ("oob", "OOB"),
    ("counters", "Counters"),
    ("results", "Results"),
    ("inputs", "Inputs"),
    ("profile", "Profile"),
    ("spec", "Spec"),
)
"""Of a job's page: id and title. static/job.js has the module of each."""

COMPACT_FROM = 6
"""So many nodes are told in short on the overview: name, state, slots, and what is wrong."""

NO_TASKS = shapes.TaskCounts(0, 0, 0, 0, 0)
BLANK = {
    "slot": shapes.Slot("", "", 0),
    "node": shapes.Node(
        node="",
        host="",
        state="gone",
        slots=[],
        seen=None,
        ok=0,
        data_error=0,
        error=0,
        lost=0,
        memory_total=None,
        memory_free=None,
        disk_total=None,
        disk_free=None,
        load=None,
        blacklisted=False,
        draining=False,
        closed="",
        misfit="",
        queued=0,
        version="",
        python="",
        labels={},
    ),
    "job": shapes.JobHead("", "active", False, "", 0, 0, None, NO_TASKS, NO_TASKS, 0.0, None),
    "phase": shapes.PhaseView("map", 0, 0, 0, 0, 0, 0, 0, 0, None, None, None, None, None, 0),
    "owner": shapes.Owner("", None, None, 0, 0, 0),
    "event": shapes.Event("", 0, "", "sys", ""),
}
"""What the ``<template>`` elements are rendered with, for the page's modules to copy and fill."""

HINTS = {
    400: "The address asks for something that there is not. The list of jobs has all there are.",
    403: "You may not do this. Log in with the token that may, or ask whoever runs the cluster.",
    404: "It may have been cleaned or purged, or the address has a slip. The list of jobs has all there are.",
    503: "Redis does not answer, so nothing is known of the jobs. This page works again when it does.",
}
QUERY_CHARS = 100
"""Of a search in the manual."""
NO_HINT = "The page failed, the jobs go on. The master's log says why."


def _templates() -> Jinja2Templates:
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, finalize=_shown
    )
    environment.filters.update(FILTERS)
    environment.globals.update(TABS=TABS, COMPACT_FROM=COMPACT_FROM, blank=BLANK, rq=rq_program(os.environ))
    return Jinja2Templates(env=environment)


def _shown(value: Any) -> Any:
    return seen(value) if type(value) is str else value


TEMPLATES = _templates()


def _page(request: Request, template: str, *, status: int = 200, **data: Any) -> Response:
    role = getattr(request.state, "role", "")
    session = {
        "role": role,
        "csrf": getattr(request.state, "csrf", ""),
        "login": bool(role) and request.app.state.needs_login,
    }
    return TEMPLATES.TemplateResponse(request, template, {"session": session, **data}, status_code=status)


def error_page(request: Request, status: int, message: str) -> Response:
    """What a browser sees of an error: what it was, and what to do next."""
    hint = HINTS.get(status, NO_HINT)
    return _page(request, "error.html", status=status, number=status, title=message, hint=hint)


def overview(request: Request) -> Response:
    """The jobs and the nodes. ``q``, ``state`` and ``sort`` choose, as in the API."""
    sources = request.app.state.sources
    query = asked_of(request, OfJobs)
    if query.sort in ("name", "owner"):
        query = msgspec.structs.replace(query, order="asc")
    view, jobs = cluster.overview(sources, Asked()), joblist.jobs(sources, query)
    return _page(request, "overview.html", here="jobs", overview=view, jobs=jobs, query=query)


def nodes(request: Request) -> Response:
    """The nodes in detail, to be blacklisted, drained and brought back."""
    view = cluster.overview(request.app.state.sources, Asked())
    return _page(request, "nodes.html", here="nodes", overview=view)


def job(request: Request) -> Response:
    """One job: its progress, its messages, and the frame of the other tabs."""
    sources = request.app.state.sources
    name = request.path_params["job"]
    view, events = joblist.job(sources, OfJob(job=name)), history.events(sources, OfEvents(job=name))
    return _page(request, "job.html", job=view, events=events)


def task(request: Request) -> Response:
    """One task: its attempts side by side."""
    wanted = asked_of(request, OfTask)
    view = story.task(request.app.state.sources, wanted)
    return _page(request, "task.html", name=wanted.job, task=view)


def manual(request: Request) -> Response:
    """The topics of the manual, or with ``q`` where its words stand."""
    query = request.query_params.get("q", "").strip()[:QUERY_CHARS]
    return _page(request, "manual.html", here="manual", groups=_topics(), query=query, hits=search(query))


def manual_page(request: Request) -> Response:
    """One page of it."""
    topic = request.path_params["topic"]
    found = page(topic)
    if found is None:
        near = nearest(topic)
        raise HTTPException(404, f"no page of the manual is {topic!r}" + (f": {near}?" if near else ""))
    html = shown(found)
    return _page(request, "manual.html", here="manual", groups=_topics(), page=found, shown=html, query="")


def _topics() -> list[tuple[str, list[Page]]]:
    return [(title, [it for topic in group if (it := page(topic))]) for title, group in GROUPS.items()]


def login(request: Request) -> Response:
    """The form for a token; who is logged in already goes on, and so does who brings a token in the link."""
    query = request.query_params
    if getattr(request.state, "role", ""):
        return RedirectResponse("/", 303)
    if "token" in query:
        forms: Forms = request.app.state.forms
        return forms.follow_link(request)
    has_secret = request.app.state.has_secret
    failed, wanted = "failed" in query, query.get("next", "/")
    return _page(request, "login.html", failed=failed, next=wanted, has_secret=has_secret)


def page_routes() -> list[BaseRoute]:
    """The pages, all of them read only: what changes something goes to the API."""
    return [
        Route("/", overview),
        Route("/nodes", nodes),
        Route("/jobs/{job}", job),
        Route("/jobs/{job}/tasks/{task}", task),
        Route("/manual", manual),
        Route("/manual/{topic}", manual_page),
        Route("/login", login),
    ]
