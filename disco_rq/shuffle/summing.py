"""What cannot be summed is told by its key and value."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from disco_rq.errors import TaskError
from disco_rq.records.pairs import shown

__all__ = ["not_summed"]


def not_summed(who: str, key: Any, what: str, error: TypeError, *, hashes: str = "") -> TaskError:
    """Why ``who`` raised ``error`` when it added ``what`` under the key.

    ``hashes``: it takes keys that can be hashed, and this takes any.
    """
    if hashes and not _is_hashable(key):
        kind = type(key).__qualname__
        return TaskError(
            f"{who} takes keys that can be hashed, and this one is a {kind}: {shown(key)}; {hashes}"
        )
    return TaskError(f"{who} cannot add {what} of the key {shown(key)}: {error}")


def _is_hashable(key: Any) -> bool:
    if not isinstance(key, Hashable):
        return False
    try:
        hash(key)  # a tuple may hold what is not
    except TypeError:
        return False
    return True
