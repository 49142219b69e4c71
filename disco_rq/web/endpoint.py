"""An endpoint of the API, declared once: the route, its checks and its documentation come of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from disco_rq.views.asked import Asked
from disco_rq.views.oob import Download
from disco_rq.views.problem import Problem
from disco_rq.web.turns import Turns

__all__ = ["Endpoint", "asked_of", "json_text", "route"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``handle(asked)`` is called in a thread; it returns an ``answer``, a ``Download``, or a
    ``Response`` as it is sent."""

    path: str
    handle: Callable[[Any], Any]
    asked: type[Asked]
    answer: Any  # a Struct, or the media type of something else than JSON
    summary: str
    problems: tuple[str, ...] = ()  # beside those that every request may meet
    method: Literal["GET", "POST"] = "GET"
    turns: Turns | None = None  # which it has to wait for; None: it is quick


def route(endpoint: Endpoint) -> Route:
    async def answer(request: Request) -> Response:
        asked = asked_of(request, endpoint.asked)
        if endpoint.turns is not None:
            result = await endpoint.turns.take(endpoint.handle, asked)
        else:
            result = await run_in_threadpool(endpoint.handle, asked)
        if isinstance(result, Response):
            return result
        if isinstance(result, Download):  # no browser is to run it: it may be anybody's HTML
            headers = {"Content-Disposition": f'attachment; filename="{result.name}"'}
            return Response(result.content, media_type="application/octet-stream", headers=headers)
        return Response(json_text(result), media_type="application/json")

    return Route(endpoint.path, answer, methods=[endpoint.method], name=endpoint.summary)


def asked_of(request: Request, kind: type[Asked]) -> Any:
    """The request's parameters, checked."""
    given = {**request.query_params, **request.path_params}
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Problem("bad-request", str(error).replace("`$.", "`").replace("Object", "Request")) from None


def json_text(result: Any) -> bytes:
    """JSON that holds anything, also half a character, and means nothing to HTML wherever it is put."""
    text = json.dumps(msgspec.to_builtins(result), separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()
