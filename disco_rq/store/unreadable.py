"""Records that cannot be read: of another version, altered, or of another program.

Each is told once and left out, so that none of them ends whoever meets it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgpack
from redis import Redis
from redis.client import Pipeline
from redis.exceptions import NoPermissionError, ResponseError

log = logging.getLogger("disco_rq.store")

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, msgpack.UnpackException)
"""What reading a record raises that is not what we write."""
REFUSED = (ResponseError,)
"""What a command raises that the server would not carry out."""
_STUMBLED = ("WRONGTYPE", "attempt to ", "is not an integer", "bad argument #", "Expected value but found")
MOST_TOLD = 1_000
ASIDE = ":unreadable"
"""Behind the name of a key that was of another type than ours."""

T = TypeVar("T")
K = TypeVar("K")
_told: set[str] = set()


def leave_out(what: str, record: object, why: object) -> None:
    """Say that it is left out, once a process; and of ever new ones not for ever."""
    line = f"{what} {record!r:.200} cannot be read and is left out: {why}"
    if line not in _told and len(_told) < MOST_TOLD:
        _told.add(line)
        log.warning("%s", line, extra={"action": "unreadable"})


def read(what: str, record: Any, parse: Callable[[Any], T]) -> T | None:
    """One record as ``parse`` reads it; None if it does not."""
    try:
        return parse(record)
    except UNREADABLE as error:
        leave_out(what, record, error)
        return None


def readable(what: str, records: Iterable[Any] | None, parse: Callable[[Any], T]) -> list[T]:
    """Those that ``parse`` can read, in their order; none if there are none."""
    found = (read(what, record, parse) for record in records or ())
    return [one for one in found if one is not None]


def names(what: str, members: Iterable[bytes] | None) -> list[str]:
    """Those that are text and not empty."""
    return [name for name in readable(what, members, bytes.decode) if name]


def lines(told: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """A hash of text, whatever bytes it holds."""
    return {
        field.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for field, value in (told or {}).items()
    }


def number(text: str | bytes | None) -> int | None:
    """A whole number, if it is one."""
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def is_wrong_type(answer: object) -> bool:
    """Whether Redis says that a key is of another type than the command wants."""
    return isinstance(answer, ResponseError) and "WRONGTYPE" in str(answer)


def is_unreadable(answer: object) -> bool:
    """Whether it is what a script of ours answers that met what we never wrote."""
    return isinstance(answer, ResponseError) and any(word in str(answer) for word in _STUMBLED)


def answers(pipe: Pipeline) -> list[Any]:
    """What a pipeline of reads answers; None in place of what a key of another type refuses."""
    told = pipe.execute(raise_on_error=False)
    for i, answer in enumerate(told):
        if is_wrong_type(answer):
            leave_out("what Redis has", answer.args, "a key is of another type")
            told[i] = None
        elif isinstance(answer, Exception):
            raise answer
    return told


def answer(call: Callable[[], Any]) -> Any:
    """The same of one command."""
    try:
        return call()
    except ResponseError as error:
        if not is_wrong_type(error):
            raise
        leave_out("what Redis has", error.args, "a key is of another type")
        return None


def fields(
    what: str, call: Callable[[], Any], parse: Callable[[tuple[bytes, bytes]], tuple[K, T]]
) -> dict[K, T]:
    """A hash that a command answers, each field of it as ``parse`` reads it."""
    return dict(readable(what, (answer(call) or {}).items(), parse))


def set_aside(redis: Redis, types: Mapping[str, str]) -> list[str]:
    """Rename those of these keys that have another type than they should: nobody could go on with them.

    Returns their names. What lies in one is kept under its name with ``ASIDE`` behind it.
    """
    pipe = redis.pipeline(transaction=False)
    for key in types:
        pipe.type(key)
    try:
        found = pipe.execute()
    except NoPermissionError as error:  # users of an older ``ops/users.conf``
        leave_out("the type of", "our keys", error)
        return []
    strange = [
        key
        for (key, kind), one in zip(types.items(), found, strict=True)
        if one not in (b"none", kind.encode())
    ]
    for key in strange:
        redis.rename(key, key + ASIDE)
        log.error("%s was no %s: it is now %s", key, types[key], key + ASIDE, extra={"action": "aside"})
    return strange
