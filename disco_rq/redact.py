"""What people may see of an address: all of it but passwords and keys."""

from __future__ import annotations

import re

__all__ = ["redact"]

_PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]*@")
_SECRET = re.compile(
    r"([?&][^=&\s#]*(?:sig|token|key|secret|passw|pwd|credential|auth)[^=&\s#]*=)[^&\s#]*", re.IGNORECASE
)


def redact(text: str) -> str:
    """``text`` with the passwords and keys of all addresses in it replaced by ``***``."""
    return _SECRET.sub(r"\1***", _PASSWORD.sub(r"\1:***@", text))
