"""The door: which host was meant, who is there, whether a page of ours asks; and what browsers must obey."""

from __future__ import annotations

import logging
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from disco_rq.machine.httpserver import welcome
from disco_rq.views.problem import Problem
from disco_rq.web.access import Access, Role, cookie_name
from disco_rq.web.problem import problem_response

__all__ = ["Guard"]

log = logging.getLogger("disco_rq.web")

OPEN = ("/healthz", "/login")
OPEN_TREE = "/static/"
API_TREES = ("/api/", "/metrics", "/healthz")
FORMS = ("/login", "/logout")
"""Plain forms, which change nothing but who is logged in: they carry no token."""
LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")

POLICY = "; ".join(
    [
        "default-src 'none'",
        *(f"{what}-src 'self'" for what in ("script", "style", "img", "connect", "font", "manifest")),
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": browsers would send "Origin: null" with our own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """Lets a request in with ``state.role`` and ``state.csrf``, or answers it."""

    def __init__(self, app: ASGIApp, access: Access, address: str) -> None:
        """``address``: ``host:port`` that it listens at, as told to others."""
        self._app = app
        self._access = access
        self._names = (*LOCAL_NAMES, address.rpartition(":")[0].lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)
        refusal = self._refusal(request)
        await (refusal or self._app)(scope, receive, _with_headers(send, request.scope["path"]))

    def _refusal(self, request: Request) -> Response | None:
        try:
            self._check_host(request)
            cookie = request.cookies.get(cookie_name(request.headers.get("host", "")), "")
            role, by_token = self._role(request, cookie)
            request.state.role = role or ""
            request.state.csrf = self._access.csrf(cookie) if role else ""
            if request.method not in ("GET", "HEAD", "OPTIONS"):
                self._check_origin(request)
            path = request.scope["path"]  # request.url is put together with what the Host header says
            if path in OPEN or path.startswith(OPEN_TREE):
                return None
            if role is None:
                return _ask_to_log_in(request)
            if not welcome(request.scope):
                raise Problem("busy", "too many visitors are connected: try again")
            if request.method not in ("GET", "HEAD", "OPTIONS") and path not in FORMS:
                self._check_action(request, role, cookie, by_token=by_token)
        except Problem as problem:
            log.warning(
                "refused %s of %s: %s",
                request.method,
                request.scope["path"],
                problem.code,
                extra={"action": "refuse"},
            )
            return problem_response(problem)
        return None

    def _check_host(self, request: Request) -> None:
        """Without a log-in, a site whose name leads to this machine (DNS rebinding) must not get in."""
        host = request.headers.get("host", "").lower()
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if not self._access.needs_login and name not in self._names:
            raise Problem("host", f"this page is served to this machine only, as localhost, not as {name!r}")

    def _role(self, request: Request, cookie: str) -> tuple[Role | None, bool]:
        """Who is there, and whether a token said so, which no browser sends by itself."""
        if not self._access.needs_login:
            return "admin", False
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._access.role_of_token(given.strip()), True
        return self._access.role_of_cookie(cookie), False

    def _check_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        if origin is not None:
            ours = _place(origin) == request.headers.get("host", "").lower() != ""
        else:
            ours = request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        if not ours:
            raise Problem("origin", "a page of another site asked for this")

    def _check_action(self, request: Request, role: Role, cookie: str, *, by_token: bool) -> None:
        given = request.headers.get("x-csrf-token", "")
        if not by_token and not self._access.is_csrf(cookie, given):
            raise Problem("csrf", "the X-CSRF-Token header is missing or old: GET /api/v1/session tells it")
        if role != "admin":
            raise Problem("read-only", "this log-in may look, and change nothing")


def _place(origin: str) -> str:
    """``host:port`` of an origin, as a Host header has it."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _ask_to_log_in(request: Request) -> Response:
    if request.scope["path"].startswith(API_TREES) or request.method not in ("GET", "HEAD"):
        return problem_response(
            Problem("login", "log in first, or send the header Authorization: Bearer TOKEN")
        )
    query = request.scope["query_string"].decode("latin-1")
    wanted = request.scope["path"] + (f"?{query}" if query else "")
    return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", 303)


def _with_headers(send: Send, path: str) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            # Files of ours are asked for again each time, and mostly have not changed.
            headers.setdefault("Cache-Control", "no-cache" if path.startswith(OPEN_TREE) else "no-store")
        await send(message)

    return sending
