"""What a format of saved results does not hold, in words: which format, which type, at which key."""

from __future__ import annotations

from typing import Any

from disco_rq.errors import RecordTypeError
from disco_rq.records.pairs import shown

__all__ = ["refusal"]


def refusal(format: str, what: str, value: Any, key: Any, detail: str = "") -> RecordTypeError:
    """``what``: whether the value is a pair's key, or its value. ``detail`` comes behind the type."""
    return RecordTypeError(
        f"{format} does not hold a {what} with the type {type(value).__qualname__}{detail} "
        f"(of key {shown(key)}): convert it, or save as msgpack, which holds all that records hold"
    )
