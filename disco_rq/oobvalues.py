"""OOB results as bytes: behind a letter that tells their type."""

from __future__ import annotations

import json
from typing import Any, Literal

from disco_rq.errors import OOBValueInvalid

__all__ = ["OOBKind", "oob_kind", "typed", "untyped"]

OOBKind = Literal["str", "json", "bytes"]
_KINDS: dict[bytes | None, OOBKind] = {b"j": "json", b"b": "bytes"}


def oob_kind(letter: bytes | None) -> OOBKind:
    """Of what type a value is that has this letter; without one it is a str."""
    return _KINDS.get(letter, "str")


def untyped(letter: bytes | None, value: bytes) -> Any:
    """The value that was put: of the bytes behind the letter of its type."""
    kind = oob_kind(letter)
    if kind == "bytes":
        return value
    text = value.decode("utf-8", "surrogatepass")
    return json.loads(text) if kind == "json" else text


def typed(key: str, value: Any, limit: int) -> bytes:
    """The value behind the letter of its type: s str, b bytes, j JSON."""
    if isinstance(value, str):
        typed = b"s" + value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        typed = b"b" + value
    else:
        try:
            if not _is_json(value):
                raise TypeError
            text = json.dumps(value, ensure_ascii=False, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            why = f": {error}" if str(error) else ""
            raise OOBValueInvalid(
                f"OOB key {key!r}: a value is str, bytes, or what JSON gives back as it was (numbers, lists, "
                f"dicts with str keys, …), not this {type(value).__name__}{why}"
            ) from None
        typed = b"j" + text.encode("utf-8", "surrogatepass")
    if len(typed) - 1 > limit:
        raise OOBValueInvalid(f"OOB key {key!r}: the value has {len(typed) - 1} bytes, the limit is {limit}")
    return typed


def _is_json(value: Any) -> bool:
    """True if JSON gives the value back with the same types: a tuple would be a list, an int key a str."""
    kind = type(value)
    if kind is list:
        return all(map(_is_json, value))
    if kind is dict:
        return all(type(key) is str and _is_json(item) for key, item in value.items())
    return value is None or kind in (bool, int, float, str)
