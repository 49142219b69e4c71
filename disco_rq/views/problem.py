"""Why something cannot be shown."""

from __future__ import annotations

from disco_rq.errors import DiscoError

__all__ = ["Problem"]


class Problem(DiscoError):
    """A request that is refused, or cannot be answered."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
