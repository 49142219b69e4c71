"""The application that a master serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from disco_rq.errors import DiscoError
from disco_rq.settings import Settings
from disco_rq.store.browsing import LiveStore
from disco_rq.version import __version__
from disco_rq.views import shapes
from disco_rq.views.asked import Asked, OfJobStream
from disco_rq.views.load import STEP_S
from disco_rq.views.problem import Problem
from disco_rq.views.sources import Sources
from disco_rq.web.access import Access
from disco_rq.web.api import API, JOB, endpoints
from disco_rq.web.endpoint import json_text, route
from disco_rq.web.guard import API_TREES, Guard
from disco_rq.web.login import Forms
from disco_rq.web.openapi import document
from disco_rq.web.pages import error_page, page_routes
from disco_rq.web.problem import CODES, problem_of, problem_response
from disco_rq.web.stream import Streams

__all__ = ["create_app"]

STATIC = Path(__file__).parent / "static"
THREADS = 8
"""For what is quick; the rest waits for its turn (see ``turns``)."""


def create_app(settings: Settings, address: str, page_key: bytes | None = None) -> Starlette:
    """``address``: ``host:port`` at which it is served; ``page_key``: see ``run_master_with_page``.

    Raises ``ConnectionLost``.
    """
    assert settings.redis is not None
    access = Access(settings.secret, page_key)
    forms = Forms(access)
    sources = Sources.open(settings.redis, settings.secret)
    live = LiveStore(settings.redis)
    streams = Streams(sources, live)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = THREADS
        looking = asyncio.create_task(_look(sources))
        yield
        looking.cancel()
        await live.close()
        sources.close()

    app = Starlette(
        routes=[
            *page_routes(),
            *_own_routes(access, forms, sources, streams),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        middleware=[Middleware(Guard, access=access, address=address)],
        exception_handlers={DiscoError: _on_problem, HTTPException: _on_http_exception, 500: _on_fault},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.needs_login = access.needs_login
    app.state.has_secret = settings.secret is not None
    app.state.forms = forms
    app.state.sources = sources
    app.state.streams = streams
    return app


async def _look(sources: Sources) -> None:
    """Look at the cluster from time to time, for its charts."""
    while True:
        try:
            sources.load.add(await run_in_threadpool(sources.view.cluster))
        except DiscoError:
            sources.load.add(None)
        await asyncio.sleep(STEP_S)


def _own_routes(access: Access, forms: Forms, sources: Sources, streams: Streams) -> list[BaseRoute]:
    listed = endpoints(sources)
    described = json_text(
        document(
            listed,
            [
                (f"{API}/stream", Asked, "The cluster, live"),
                (f"{JOB}/stream", OfJobStream, "A job and its history, live"),
            ],
        )
    )

    async def session(request: Request) -> Response:
        state = request.state
        session = shapes.Session(state.role, state.csrf, access.needs_login, __version__)
        return Response(json_text(session), media_type="application/json")

    async def description(_request: Request) -> Response:
        return Response(described, media_type="application/json")

    return [
        Route("/login", forms.log_in, methods=["POST"]),
        Route("/logout", forms.log_out, methods=["POST"]),
        Route(f"{API}/session", session, methods=["GET"]),
        Route(f"{API}/openapi.json", description, methods=["GET"]),
        Route(f"{API}/stream", streams.overview, methods=["GET"]),
        Route(f"{JOB}/stream", streams.job, methods=["GET"]),
        *map(route, listed),
    ]


async def _on_problem(request: Request, error: Exception) -> Response:
    """Errors of ours."""
    assert isinstance(error, DiscoError)
    return _error_answer(request, problem_of(error))


async def _on_http_exception(request: Request, error: Exception) -> Response:
    """No such path, or not with that method."""
    assert isinstance(error, HTTPException)
    code = "method" if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else "not-found"
    answer = _error_answer(request, Problem(code, error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def _on_fault(request: Request, _error: Exception) -> Response:
    """A fault of ours, or of Redis' in the middle of it; uvicorn logs it."""
    return _error_answer(request, Problem("fault", "this could not be answered; the master's log says why"))


def _error_answer(request: Request, problem: Problem) -> Response:
    if request.scope["path"].startswith(API_TREES):
        return problem_response(problem)
    return error_page(request, CODES[problem.code], str(problem))
