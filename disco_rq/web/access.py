"""Who may look, and who may act: tokens, log-in cookies and what guards against forged requests.

Without a secret everybody on this machine may do all. With one, a token for each role is derived from it; a
browser changes it for a signed cookie that ends after a week. ``DISCO_RQ_SECRET`` may hold several keys, for
rotation: tokens and cookies of each are good.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Literal

from itsdangerous import BadSignature, TimestampSigner

from disco_rq.packing import secret_keys

__all__ = ["COOKIE_MAX_AGE_S", "LINK_PATH", "Access", "Role", "cookie_name", "token"]

Role = Literal["admin", "viewer"]
ROLES: tuple[Role, ...] = ("admin", "viewer")

COOKIE_MAX_AGE_S = 7 * 86_400
LINK_PATH = "/login?token="
"""A token behind it logs in whoever opens the link."""


def token(secret: bytes, role: Role) -> str:
    """The token of a role, as ``disco-rq web-token`` prints it."""
    return _derived(secret_keys(secret)[0], f"token {role}").hex()[:32]


def cookie_name(host: str) -> str:
    """The log-in cookie of the page at ``host``, as the Host header has it.

    Browsers keep cookies for a host, whatever the port: with one name for all, who logs in to one cluster
    would be logged out of the other ones of the machine.
    """
    port = host.rpartition(":")[2]
    return f"disco_rq_{port}" if port.isascii() and port.isdecimal() else "disco_rq"


class Access:
    """What a secret opens, or a key that is the page's own."""

    def __init__(self, secret: bytes | None, page_key: bytes | None = None) -> None:
        keys = secret_keys(secret) or ([page_key] if page_key else [])
        self.needs_login = bool(keys)
        self._tokens = {_derived(key, f"token {role}").hex()[:32]: role for key in keys for role in ROLES}
        # The newest key comes last there, and first in the setting.
        cookie_keys = [_derived(key, "cookie") for key in reversed(keys)] or [_random()]
        self._signer = TimestampSigner(cookie_keys, digest_method=hashlib.sha256)
        self._csrf_key = _derived(keys[0], "csrf") if keys else _random()

    def role_of_token(self, given: str) -> Role | None:
        """All are compared, so that the time does not tell which of them is nearly right."""
        found: Role | None = None
        for known, role in self._tokens.items():
            if hmac.compare_digest(given.encode(errors="replace"), known.encode()):
                found = role
        return found

    def cookie(self, role: Role) -> str:
        """The value of a new log-in cookie. Two are never the same, so neither are their CSRF tokens."""
        return self._signer.sign(f"{role}-{secrets.token_hex(8)}").decode()

    def role_of_cookie(self, given: str) -> Role | None:
        try:
            signed = self._signer.unsign(given, max_age=COOKIE_MAX_AGE_S).decode()
        except BadSignature:  # too old, too
            return None
        role = signed.partition("-")[0]
        return role if role in ROLES else None

    def csrf(self, cookie: str) -> str:
        """What a page of ours proves with that it is one: other sites' pages cannot read it."""
        return hmac.new(self._csrf_key, cookie.encode(errors="replace"), hashlib.sha256).hexdigest()[:32]

    def is_csrf(self, cookie: str, given: str) -> bool:
        return hmac.compare_digest(given.encode(errors="replace"), self.csrf(cookie).encode())


def _derived(key: bytes, what: str) -> bytes:
    return hmac.new(key, f"disco-rq web page 1 {what}".encode(), hashlib.sha256).digest()


def _random() -> bytes:
    return secrets.token_bytes(32)
