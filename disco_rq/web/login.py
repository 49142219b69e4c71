"""Logging in and out: two plain forms, and a link with a token; they work without a line of JavaScript."""

from __future__ import annotations

import logging
import re
from typing import Literal
from urllib.parse import parse_qs, quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from disco_rq.views.problem import Problem
from disco_rq.web.access import COOKIE_MAX_AGE_S, Access, cookie_name

__all__ = ["Forms"]

log = logging.getLogger("disco_rq.web")

FORM_MAX_BYTES = 8 << 10
OWN_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\\]*")
"""Where one may be sent after the log-in: a path of ours, not ``//evil.example``."""


class Forms:
    """Answers the two forms, and the link."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def log_in(self, request: Request) -> Response:
        fields = parse_qs((await _body(request)).decode("utf-8", "replace"))
        wanted = fields.get("next", ["/"])[0]
        wanted = wanted if OWN_PATH.fullmatch(wanted) else "/"
        return self._answer(request, fields.get("token", [""])[0], wanted, "strict")

    def follow_link(self, request: Request) -> Response:
        """A good token is changed for a cookie, and is in the address no more."""
        # Not a strict cookie: who opens the link from another page, such as a notebook, would be sent on
        # without it. What changes anything asks for the CSRF token anyway.
        return self._answer(request, request.query_params["token"], "/", "lax")

    def _answer(
        self, request: Request, token: str, wanted: str, samesite: Literal["strict", "lax"]
    ) -> Response:
        role = self._access.role_of_token(token.strip())
        if role is None:
            log.warning("a log-in with a wrong token", extra={"action": "login"})
            return RedirectResponse(f"/login?failed=1&next={quote(wanted, safe='/')}", 303)
        answer = RedirectResponse(wanted, 303)
        answer.set_cookie(
            cookie_name(request.headers.get("host", "")),
            self._access.cookie(role),
            max_age=COOKIE_MAX_AGE_S,
            httponly=True,
            samesite=samesite,
            secure=request.headers.get("x-forwarded-proto", request.url.scheme) == "https",
        )
        return answer

    async def log_out(self, request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(cookie_name(request.headers.get("host", "")), httponly=True, samesite="strict")
        return answer


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_MAX_BYTES:
            raise Problem("bad-request", "a log-in is a token, not that much")
    return bytes(body)
