"""What went wrong with a request, as every answer of the API tells it."""

from __future__ import annotations

from starlette.responses import JSONResponse

from disco_rq.errors import (
    ConnectionLost,
    DataError,
    DiscoError,
    JobError,
    NodeAlive,
    OOBNotFound,
    UnknownJob,
)
from disco_rq.views.problem import Problem

__all__ = ["CODES", "problem_of", "problem_response"]

CODES = {
    "bad-request": 400,
    "login": 401,
    **dict.fromkeys(("csrf", "origin", "host", "read-only"), 403),
    **dict.fromkeys(("not-found", "unknown-job", "unknown-task", "unknown-node", "unknown-key"), 404),
    "method": 405,
    "refused": 409,
    "fault": 500,
    "unreadable": 502,
    "redis": 503,
    "busy": 503,
}
"""Code -> HTTP status."""


def problem_of(error: DiscoError) -> Problem:
    """What an error of ours means to the visitor."""
    match error:
        case Problem():
            return error
        case UnknownJob():
            return Problem("unknown-job", str(error))
        case OOBNotFound():
            return Problem("unknown-key", str(error))
        case ConnectionLost():
            return Problem("redis", str(error))
        case DataError():
            return Problem("unreadable", str(error))
        case JobError() | NodeAlive():
            return Problem("refused", str(error))
        case _:
            return Problem("bad-request", str(error))


def problem_response(problem: Problem) -> JSONResponse:
    headers = {"login": {"WWW-Authenticate": "Bearer"}, "busy": {"Retry-After": "2"}}.get(problem.code)
    body = {"error": {"code": problem.code, "message": str(problem)}}
    return JSONResponse(body, CODES[problem.code], headers)
