"""The end of a job told to an address: a POST of JSON, tried again with pauses that double.

A plain RQ worker runs it, from the queue ``disco-webhooks``. The address is the job's: whoever may submit one
may have this machine ask for it. So the name is looked up once, what it leads to is checked, and that is what
is connected to; a redirect is not followed, and no proxy is asked.
"""

from __future__ import annotations

import hmac
import http.client
import ipaddress
import json
import logging
import socket
import ssl
import time
from base64 import b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from rq import get_current_job

from disco_rq.errors import WebhookFailed
from disco_rq.redact import redact
from disco_rq.settings import WebhookSettings
from disco_rq.version import __version__

__all__ = ["DELIVERY", "SIGNATURE", "signature_of", "webhook"]

log = logging.getLogger("disco_rq.webhook")

SIGNATURE = "X-Disco-Signature"
DELIVERY = "X-Disco-Delivery"
TRIES = 8
FIRST_PAUSE_S = 1.0
PATIENCE_S = 15.0
"""For a connection, and for an answer."""
_AGAIN = frozenset((408, 425, 429))
"""With 500 and above: what a server answers that may have the time later."""


def webhook(ending: Mapping[str, Any], url: str) -> int:
    """POST ``ending`` (``job``, ``status``, ``cause``) as JSON; returns the status of the answer, a 2xx.

    With a secret (DISCO_RQ_WEBHOOK_SECRET, or else DISCO_RQ_SECRET) the header X-Disco-Signature has
    ``sha256=`` and the HMAC of the body; X-Disco-Delivery is the same whenever the same end is told. Raises
    ``WebhookFailed`` after the last try, and at once for an answer that will not change, or an address on
    loopback or link-local, unless DISCO_RQ_WEBHOOK_LOCAL is on.
    """
    settings = WebhookSettings.from_env()
    body = json.dumps(dict(ending)).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"disco-rq/{__version__}",
        DELIVERY: str(ending.get("job", "")),
    }
    if settings.secret is not None:
        headers[SIGNATURE] = signature_of(body, settings.secret)
    pause_s = FIRST_PAUSE_S
    for number in range(1, TRIES + 1):
        try:
            status = _post(url, body, headers, local=settings.local)
        except (OSError, http.client.HTTPException) as error:
            why = f"{type(error).__name__}: {error}"
        else:
            if 200 <= status < 300:
                return status
            why = f"it answers {status}"
            if status < 500 and status not in _AGAIN:
                break
        about = {"action": "webhook", "job": ending.get("job", "")}
        log.warning("%s: try %s of %s: %s", redact(url), number, TRIES, why, extra=about)
        if number < TRIES:
            time.sleep(pause_s)
            pause_s *= 2
    raise _failed(f"{redact(url)} was not told that {ending.get('job')} has ended: {why}")


def _failed(why: str) -> WebhookFailed:
    """For good: RQ, which tries again where a worker has died, does not begin anew."""
    if (job := get_current_job()) is not None:
        job.retries_left = 0
    return WebhookFailed(why)


def signature_of(body: bytes, secret: bytes) -> str:
    """What the header has for this body."""
    return f"sha256={hmac.new(secret, body, 'sha256').hexdigest()}"


def _post(url: str, body: bytes, headers: Mapping[str, str], *, local: bool) -> int:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), _port(parts), timeout=PATIENCE_S)
    connection.sock = _connected(parts, local=local)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", path, body, {**headers, **_login(parts)})
        answer = connection.getresponse()
        answer.read(65_536)
        return answer.status
    finally:
        connection.close()


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _login(parts: SplitResult) -> dict[str, str]:
    if parts.username is None:
        return {}
    login = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    return {"Authorization": f"Basic {b64encode(login).decode()}"}


def _connected(parts: SplitResult, *, local: bool) -> socket.socket:
    """A connection to the first of its addresses that takes one; all must be allowed."""
    host = str(parts.hostname)
    found = socket.getaddrinfo(host, _port(parts), type=socket.SOCK_STREAM)
    for *_, where in found:
        if not local and _is_local(str(where[0])):
            raise _failed(
                f"{redact(parts.geturl())} leads to {where[0]}, on this machine or link: only with "
                "DISCO_RQ_WEBHOOK_LOCAL=on is that told anything"
            )
    trouble: OSError = ConnectionError(f"{host} has no address")
    for family, kind, protocol, _, where in found:
        sock = socket.socket(family, kind, protocol)
        sock.settimeout(PATIENCE_S)
        try:
            sock.connect(where)
            if parts.scheme == "https":
                return ssl.create_default_context().wrap_socket(sock, server_hostname=host)
            return sock
        except OSError as error:
            sock.close()
            trouble = error
    raise trouble


def _is_local(address: str) -> bool:
    """Whether it is this machine, its link, or nobody in particular."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast
